// node --import ./older_node.mjs: lets the conformance suite start on Node 20. It imports fs.globSync, which is there
// since Node 22, for a command that we never use.
import * as fs from 'node:fs';
import { register } from 'node:module';

const PATCHED = "export * from 'node:fs'; export const globSync = undefined;";
const HOOKS = `
    export async function resolve(specifier, context, next) {
        if (specifier !== 'fs' || !context.parentURL?.includes('/conformance/dist/')) return next(specifier, context);
        return { url: ${JSON.stringify(`data:text/javascript,${PATCHED}`)}, shortCircuit: true };
    }`;

if (!('globSync' in fs)) register(`data:text/javascript,${encodeURIComponent(HOOKS)}`);
