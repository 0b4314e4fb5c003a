// npm's oidc-provider as an authorization server for one resource: it signs everybody in at once, asks nobody for
// consent, and keeps everything in memory. Arguments: port, resource, scopes (with spaces). NODE_EXTRA_CA_CERTS names
// the authority of the documents' host.
import { generateKeyPairSync } from "node:crypto";
import http from "node:http";
import https from "node:https";

import Provider from "oidc-provider";

const [port, resource, scope] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const jwk = { ...privateKey.export({ format: "jwk" }), kid: "bench", use: "sig", alg: "ES256" };

// Its own fetch refuses addresses on this machine; this one asks the same host without judging it.
function fetchDocument(url, { headers }) {
  return new Promise((resolve, reject) => {
    const request = https.get(url, { headers: Object.fromEntries(new Headers(headers)) }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => {
        resolve(new Response(Buffer.concat(chunks), { status: response.statusCode, headers: response.headers }));
      });
    });
    request.on("error", reject);
  });
}

// Its own store in memory drops all but the last thousand entries; this one drops none.
const stored = new Map();
const uids = new Map();
const granted = new Map();

class MemoryAdapter {
  constructor(name) {
    this.name = name;
  }

  key(id) {
    return `${this.name}:${id}`;
  }

  async upsert(id, payload) {
    const key = this.key(id);
    stored.set(key, payload);
    if (payload.uid) uids.set(payload.uid, key);
    if (payload.grantId) {
      if (!granted.has(payload.grantId)) granted.set(payload.grantId, []);
      granted.get(payload.grantId).push(key);
    }
  }

  async find(id) {
    return stored.get(this.key(id));
  }

  async findByUid(uid) {
    return stored.get(uids.get(uid));
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    stored.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    stored.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const key of granted.get(grantId) ?? []) stored.delete(key);
    granted.delete(grantId);
  }
}

async function loadExistingGrant(ctx) {
  const grant = new ctx.oidc.provider.Grant({
    clientId: ctx.oidc.client.clientId,
    accountId: ctx.oidc.session.accountId,
  });
  grant.addResourceScope(resource, scope);
  grant.addOIDCScope(scope);
  await grant.save();
  return grant;
}

const provider = new Provider(issuer, {
  adapter: MemoryAdapter,
  clientDefaults: { id_token_signed_response_alg: "ES256" },
  clients: [],
  cookies: { keys: ["bench"] },
  fetch: fetchDocument,
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: () => true,
  jwks: { keys: [jwk] },
  loadExistingGrant,
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: scope.split(" "),
  clientAuthMethods: ["none", "private_key_jwt"],
  features: {
    clientIdMetadataDocument: { enabled: true, ack: "draft-02" },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      getResourceServerInfo: () => ({ scope, accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } } }),
      useGrantedResource: () => true,
    },
  },
});

const handle = provider.callback();
http
  .createServer((request, response) => {
    if (request.url.startsWith("/interaction/")) {
      provider.interactionFinished(request, response, { login: { accountId: "ada" }, consent: {} }).catch((error) => {
        response.statusCode = 500;
        response.end(String(error));
      });
    } else {
      handle(request, response);
    }
  })
  .listen(Number(port), "127.0.0.1");
