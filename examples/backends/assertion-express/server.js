// A service behind wxgate that believes nothing but the signed assertion.
const express = require('express')
const { createRemoteJWKSet, errors, jwtVerify } = require('jose')

const gateway = process.env.GATEWAY ?? 'http://127.0.0.1:8080'
const options = {
  audience: process.env.AUDIENCE ?? 'me', // the name of [upstream.me] in wxgate's config
  issuer: process.env.ISSUER ?? 'wxgate', // token.issuer
  algorithms: ['ES256', 'EdDSA'],
  requiredClaims: ['sub', 'iat', 'exp'],
  clockTolerance: 5,
}
// Fetched when a key is not known yet, and kept.
const keys = createRemoteJWKSet(new URL(gateway + '/.well-known/jwks.json'))

// The claims of the assertion; null for an anonymous request; an error for anything else.
async function caller(req) {
  const assertion = req.get('X-WX-Assertion')
  if (assertion === undefined) return null
  const { payload } = await jwtVerify(assertion, keys, options)
  // The gateway's other tokens are not for services.
  if (payload.typ !== 'assertion') throw new errors.JWTInvalid('not an assertion')
  return payload
}

const app = express()

app.get('/api/me', async (req, res) => {
  const claims = await caller(req)
  res.json({ openid: claims?.sub ?? null, appid: claims?.appid ?? null, unionid: claims?.unionid ?? null })
})

app.use((error, req, res, next) => {
  if (!(error instanceof errors.JOSEError)) return next(error)
  res.status(401).json({ error: 'not through the gateway' })
})

app.listen(process.env.PORT ?? 3000, '127.0.0.1')
