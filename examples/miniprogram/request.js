// Requests through wxgate: logs in when needed, once for everybody who waits, takes over each new token, and repeats a
// refused request once.
//
//   const { request } = require('./request')
//   const { statusCode, data } = await request({ url: '/order/1' })

const config = {
  baseUrl: 'https://shop.example.com',
  loginPath: '/login',
  storageKey: 'wxgate',
  // A token this close to its end is not used any more.
  spareMs: 30 * 1000,
}

// The one login under way.
let pending = null

// Resolves with the token; rejects with { error, statusCode } of the refusal, or with what wx reports.
function logIn() {
  if (!pending) {
    const done = () => { pending = null }
    pending = exchange(2)
    pending.then(done, done)
  }
  return pending
}

// A code works once and for five minutes only: one that was refused is worth one more try with a fresh one.
async function exchange(tries) {
  const { code } = await call(wx.login, {})
  const answer = await call(wx.request, {
    url: config.baseUrl + config.loginPath,
    method: 'POST',
    data: { code },
  })
  if (answer.statusCode === 200) {
    const { token, expires_in: seconds } = answer.data
    keep(token, seconds)
    return token
  }
  const error = refusal(answer)
  if (tries > 1 && (error === 'code_invalid' || error === 'code_used')) {
    return exchange(tries - 1)
  }
  throw { error, statusCode: answer.statusCode }
}

// Like wx.request, as a promise; `url` counts from baseUrl. Resolves whatever the status is, as wx.request succeeds.
async function request(options) {
  const token = stored() || await logIn()
  const answer = await send(options, token)
  if (!wantsLogin(answer)) return answer
  // Another request may have logged in while this one was on its way: then its token is worth a try.
  const newer = stored()
  return send(options, newer && newer !== token ? newer : await logInAnew(token))
}

function logInAnew(refused) {
  if (stored() === refused) wx.removeStorageSync(config.storageKey)
  return logIn()
}

async function send(options, token) {
  const answer = await call(wx.request, {
    ...options,
    url: config.baseUrl + options.url,
    header: { ...options.header, Authorization: 'Bearer ' + token },
  })
  takeOver(answer, token)
  return answer
}

// Past half its life a token has a successor in the answer. Taken only for the token that it follows: there may have been a
// logout, or another login, while the answer was on its way.
function takeOver(answer, token) {
  const newer = header(answer, 'x-session-token')
  const seconds = Number(header(answer, 'x-session-expires-in'))
  const kept = wx.getStorageSync(config.storageKey)
  if (newer && seconds > 0 && kept && kept.token === token) keep(newer, seconds)
}

// Counted from now: the phone's clock may be wrong, but it runs.
function keep(token, seconds) {
  wx.setStorageSync(config.storageKey, { token, until: Date.now() + seconds * 1000 - config.spareMs })
}

// Ends the session on the server, and forgets the token here whatever the server says.
async function logOut() {
  const token = stored()
  wx.removeStorageSync(config.storageKey)
  if (token) await send({ url: '/logout', method: 'POST' }, token)
}

function stored() {
  const kept = wx.getStorageSync(config.storageKey)
  return kept && Date.now() < kept.until ? kept.token : null
}

// The gateway's own 401, and one that a login cures. A 401 of the service has no such header and is the caller's.
function wantsLogin(answer) {
  const error = refusal(answer)
  return answer.statusCode === 401 && (error.startsWith('token_') || error === 'session_ended')
}

function refusal(answer) {
  return header(answer, 'x-wxgate-error')
}

// Header names come in any case: in lower case where the phone speaks HTTP/2.
function header({ header: all = {} }, wanted) {
  const name = Object.keys(all).find((name) => name.toLowerCase() === wanted)
  return name ? String(all[name]) : ''
}

function call(api, options) {
  return new Promise((success, fail) => api({ ...options, success, fail }))
}

module.exports = { config, logIn, logOut, request }
