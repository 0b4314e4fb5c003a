// A client written with a general OAuth library, as an application outside MCP writes it: oauth4webapi or openid-client.
//
// Its one argument is JSON: { library, issuer, resource, redirectUri, clientId, key, register, method, clockSkew }.
// It discovers the server, registers where `register` has metadata for that, signs a person in with PKCE, refreshes,
// revokes, and tries the revoked token once more. Where the person is needed it says {"authorize": "<URL>"} on stdout
// and expects {"callback": "<URL>"} on stdin; its last line is {"result": {...}} or {"error": "..."}.
import { createInterface } from 'node:readline';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';

const settings = JSON.parse(process.argv[2]);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = value => process.stdout.write(`${JSON.stringify(value)}\n`);
const insecure = { [oauth.allowInsecureRequests]: true };
const skewed = { [oauth.clockSkew]: settings.clockSkew };

async function askPerson(url) {
    say({ authorize: url.href });
    const { value } = await lines.next();
    return new URL(JSON.parse(value).callback);
}

async function importKey({ kid, ...jwk }) {
    return { kid, key: await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']) };
}

// How the client proves itself, in either library's words.
async function chooseAuthentication(library, secret) {
    if (settings.key) return library.PrivateKeyJwt(await importKey(settings.key));
    if (secret) return settings.method === 'client_secret_post' ? library.ClientSecretPost(secret) : library.ClientSecretBasic(secret);
    return library.None();
}

const request = async (verifier, state) => ({
    redirect_uri: settings.redirectUri,
    scope: 'notes:read',
    resource: settings.resource,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256'
});

async function useOauth4webapi() {
    const url = new URL(settings.issuer);
    const server = await oauth
        .discoveryRequest(url, { algorithm: 'oauth2', ...insecure })
        .then(response => oauth.processDiscoveryResponse(url, response));
    let client = { client_id: settings.clientId };
    if (settings.register) {
        client = await oauth
            .dynamicClientRegistrationRequest(server, settings.register, insecure)
            .then(oauth.processDynamicClientRegistrationResponse);
    }
    client = { ...client, ...skewed };
    const authentication = await chooseAuthentication(oauth, client.client_secret);
    const [verifier, state] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState()];
    const authorize = new URL(server.authorization_endpoint);
    const parameters = { response_type: 'code', client_id: client.client_id, ...(await request(verifier, state)) };
    for (const [name, value] of Object.entries(parameters)) authorize.searchParams.set(name, value);
    const callback = oauth.validateAuthResponse(server, client, await askPerson(authorize), state);
    const tokens = await oauth
        .authorizationCodeGrantRequest(server, client, authentication, callback, settings.redirectUri, verifier, insecure)
        .then(response => oauth.processAuthorizationCodeResponse(server, client, response));
    const refresh = token =>
        oauth
            .refreshTokenGrantRequest(server, client, authentication, token, insecure)
            .then(response => oauth.processRefreshTokenResponse(server, client, response));
    const refreshed = await refresh(tokens.refresh_token);
    await oauth
        .revocationRequest(server, client, authentication, refreshed.refresh_token, insecure)
        .then(oauth.processRevocationResponse);
    return { client, tokens, refreshed, afterwards: await refresh(refreshed.refresh_token).catch(error => error) };
}

async function useOpenidClient() {
    const url = new URL(settings.issuer);
    const options = { algorithm: 'oauth2', execute: [openid.allowInsecureRequests] };
    let metadata = skewed;
    let config;
    if (settings.register) {
        const registered = await openid.dynamicClientRegistration(url, { ...settings.register, ...skewed }, undefined, options);
        metadata = { ...registered.clientMetadata(), ...skewed };
    }
    const clientId = metadata.client_id ?? settings.clientId;
    config = await openid.discovery(url, clientId, metadata, await chooseAuthentication(openid, metadata.client_secret), options);
    const [verifier, state] = [openid.randomPKCECodeVerifier(), openid.randomState()];
    const callback = await askPerson(openid.buildAuthorizationUrl(config, await request(verifier, state)));
    const tokens = await openid.authorizationCodeGrant(config, callback, { pkceCodeVerifier: verifier, expectedState: state });
    const refreshed = await openid.refreshTokenGrant(config, tokens.refresh_token);
    await openid.tokenRevocation(config, refreshed.refresh_token);
    const afterwards = await openid.refreshTokenGrant(config, refreshed.refresh_token).catch(error => error);
    return { client: { ...metadata, client_id: clientId }, tokens, refreshed, afterwards };
}

try {
    const use = { oauth4webapi: useOauth4webapi, 'openid-client': useOpenidClient }[settings.library];
    const { client, tokens, refreshed, afterwards } = await use();
    say({ result: { client, tokens, refreshed, afterwards: afterwards.error ?? 'a token' } });
} catch (error) {
    say({ error: `${error.name}: ${error.message}`, cause: error.cause });
}
process.exit();
