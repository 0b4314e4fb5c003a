// A client made with the official TypeScript SDK: v1 (@modelcontextprotocol/sdk) or v2 (@modelcontextprotocol/client).
//
// Its one argument is JSON: { sdk, server, clientId, redirectUri, authMethod }; without a clientId it registers. Then it
// obeys the lines on stdin and answers each with one line of JSON on stdout:
//
//   {"call": "list_notes", "arguments": {}}   {"result": [...]} or {"error": "..."}
//
// Where a person is needed in between, it says {"authorize": "<URL>"} and expects {"callback": "<URL>"}.
import { createInterface } from 'node:readline';

const SDKS = {
    v1: async () => ({
        ...(await import('@modelcontextprotocol/sdk/client/index.js')),
        ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
        ...(await import('@modelcontextprotocol/sdk/client/auth.js')),
        // v1 knows nothing of iss (RFC 9207): it takes the code alone.
        readCallback: parameters => parameters.get('code')
    }),
    v2: async () => ({
        ...(await import('@modelcontextprotocol/client')),
        readCallback: parameters => parameters
    })
};

const { sdk, server, clientId, redirectUri, authMethod } = JSON.parse(process.argv[2]);
const { Client, StreamableHTTPClientTransport, UnauthorizedError, readCallback } = await SDKS[sdk]();

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = value => process.stdout.write(`${JSON.stringify(value)}\n`);
const hear = async () => {
    const { value, done } = await lines.next();
    return done ? undefined : JSON.parse(value);
};

// The SDK's OAuthClientProvider, as an application writes it: everything in memory, the person elsewhere.
class Provider {
    clientMetadataUrl = clientId ?? undefined;
    redirectUrl = redirectUri;
    clientMetadata = { redirect_uris: [redirectUri], token_endpoint_auth_method: authMethod };
    #kept = {};
    #state;

    state = () => (this.#state = crypto.randomUUID());
    clientInformation = () => this.#kept.client;
    saveClientInformation = client => void (this.#kept.client = client);
    tokens = () => this.#kept.tokens;
    saveTokens = tokens => void (this.#kept.tokens = tokens);
    codeVerifier = () => this.#kept.verifier;
    saveCodeVerifier = verifier => void (this.#kept.verifier = verifier);
    saveDiscoveryState = discovery => void (this.#kept.discovery = discovery);
    discoveryState = () => this.#kept.discovery;
    redirectToAuthorization = url => say({ authorize: url.href });

    async hearCallback() {
        const parameters = new URL((await hear()).callback).searchParams;
        if (parameters.get('state') !== this.#state) throw new Error('the callback has another state');
        if (!parameters.has('code')) throw new Error(`the callback has no code: ${parameters.get('error')}`);
        return parameters;
    }
}

const provider = new Provider();
let transport;

// The SDK gives up where a person has to act, and wants to be asked again when it has the code.
async function withPerson(action) {
    try {
        return await action();
    } catch (error) {
        if (!(error instanceof UnauthorizedError)) throw error;
        await transport.finishAuth(readCallback(await provider.hearCallback()));
        return await action();
    }
}

async function connect() {
    const client = new Client({ name: 'nameplate-interop', version: '1' });
    await withPerson(() => {
        transport = new StreamableHTTPClientTransport(new URL(server), { authProvider: provider });
        return client.connect(transport);
    });
    return client;
}

let client;
for (let command = await hear(); command !== undefined; command = await hear()) {
    try {
        client ??= await connect();
        const result = await withPerson(() => client.callTool({ name: command.call, arguments: command.arguments }));
        say({ result: result.content.map(block => block.text) });
    } catch (error) {
        say({ error: `${error.name}: ${error.message}` });
    }
}
await client?.close();
process.exit();
