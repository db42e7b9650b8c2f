// `node test.js`: request.js over a double of `wx`. With WXGATE and SIMULATOR set, over a real gateway as well.
const assert = require('node:assert/strict')
const { beforeEach, test } = require('node:test')

const { config, logIn, logOut, request } = require('./request')

// What the double was asked for, and what it answers.
let logins, sent, storage, answer

// A gateway in a few lines: each login makes the only good token.
let good
const ok = (data) => ({ statusCode: 200, header: {}, data })
const refused = (statusCode, error) => ({ statusCode, header: { 'x-wxgate-error': error }, data: { error } })
const gateway = ({ url, data, header }) => {
  if (url.endsWith('/login')) {
    good = 'token-of-' + data.code
    return ok({ token: good, token_type: 'Bearer', expires_in: 7200 })
  }
  return header.Authorization === 'Bearer ' + good ? ok({ url }) : refused(401, 'token_expired')
}

beforeEach(() => {
  logins = 0
  sent = []
  storage = {}
  good = null
  answer = gateway
  globalThis.wx = {
    login: ({ success }) => setTimeout(() => success({ code: 'code-' + ++logins }), 5),
    request: (options) => {
      sent.push(options)
      setTimeout(() => {
        const answered = answer(options)
        answered ? options.success(answered) : options.fail({ errMsg: 'request:fail timeout' })
      }, options.url.endsWith('/slow') ? 60 : 5)
    },
    getStorageSync: (key) => storage[key] ?? '',
    setStorageSync: (key, value) => { storage[key] = value },
    removeStorageSync: (key) => { delete storage[key] },
  }
})

test('requests that wait share one login', async () => {
  const answers = await Promise.all([1, 2, 3, 4, 5].map((n) => request({ url: '/order/' + n })))
  assert.deepEqual(answers.map(({ statusCode }) => statusCode), [200, 200, 200, 200, 200])
  assert.equal(logins, 1)
})

test('a token is used again', async () => {
  await request({ url: '/a' })
  await request({ url: '/b', header: { 'X-Mine': '1' } })
  assert.equal(logins, 1)
  assert.deepEqual(sent.at(-1).header, { 'X-Mine': '1', Authorization: 'Bearer token-of-code-1' })
})

test('a refused token costs one login for all, and each request one repetition', async () => {
  await request({ url: '/a' })
  good = 'something else'
  const answers = await Promise.all([request({ url: '/b' }), request({ url: '/c' })])
  assert.deepEqual(answers.map(({ statusCode }) => statusCode), [200, 200])
  assert.equal(logins, 2)
  assert.equal(sent.filter(({ url }) => url.endsWith('/b')).length, 2)
})

test('a late 401 of an old token uses the new one', async () => {
  await request({ url: '/a' })
  good = 'something else'
  const slow = request({ url: '/slow' })
  await request({ url: '/fast' })
  assert.equal((await slow).statusCode, 200)
  assert.equal(logins, 2)
})

test('a second refusal is handed to the caller', async () => {
  answer = (options) => options.url.endsWith('/login') ? gateway(options) : refused(401, 'session_ended')
  assert.equal((await request({ url: '/a' })).statusCode, 401)
  assert.equal(logins, 2)
})

test("the service's own 401 is the caller's", async () => {
  answer = (options) => options.url.endsWith('/login') ? gateway(options) : { statusCode: 401, header: {}, data: {} }
  assert.equal((await request({ url: '/a' })).statusCode, 401)
  assert.equal(logins, 1)
})

test('other refusals do not log in', async () => {
  answer = (options) => options.url.endsWith('/login') ? gateway(options) : refused(401, 'ambiguous_credentials')
  await request({ url: '/a' })
  answer = () => refused(403, 'app_not_allowed')
  assert.equal((await request({ url: '/a' })).statusCode, 403)
  assert.equal(logins, 1)
})

test('a refused code is worth one fresh one', async () => {
  let refusals = 1
  answer = (options) => options.url.endsWith('/login') && refusals-- > 0 ? refused(401, 'code_used') : gateway(options)
  assert.equal((await request({ url: '/a' })).statusCode, 200)
  assert.equal(logins, 2)
})

test('a login that fails fails for all who wait, and the next one starts anew', async () => {
  answer = () => refused(403, 'user_blocked')
  const waiting = await Promise.allSettled([request({ url: '/a' }), request({ url: '/b' })])
  assert.deepEqual(waiting.map(({ reason }) => reason), Array(2).fill({ error: 'user_blocked', statusCode: 403 }))
  assert.equal(logins, 1)
  answer = () => null
  await assert.rejects(logIn(), { errMsg: 'request:fail timeout' })
  answer = gateway
  assert.equal((await request({ url: '/a' })).statusCode, 200)
})

// The good token has a successor, which the next answers carry.
const renewing = (name, seconds = '7000') => (options) => {
  const answered = gateway(options)
  if (answered.statusCode === 200 && !options.url.endsWith('/login')) {
    answered.header = { [name]: 'successor-of-' + good, 'X-Session-Expires-In': seconds }
  }
  return answered
}

test('a new token is taken over, however its header is written', async () => {
  for (const name of ['X-Session-Token', 'x-session-token', 'X-SESSION-TOKEN', 'x-Session-token']) {
    storage = {}
    answer = renewing(name)
    await request({ url: '/a' })
    const { token, until } = storage[config.storageKey]
    assert.equal(token, 'successor-of-' + good)
    const left = until - Date.now()
    assert.ok(left > 6_900_000 && left <= 6_970_000, `good for ${left} ms`)
  }
})

test('parallel answers with one new token are one change, and it is used from then on', async () => {
  await request({ url: '/a' })
  const first = good
  answer = renewing('X-Session-Token')
  await Promise.all([request({ url: '/b' }), request({ url: '/slow' }), request({ url: '/c' })])
  answer = gateway
  good = 'successor-of-' + first
  assert.equal((await request({ url: '/d' })).statusCode, 200)
  assert.equal(sent.at(-1).header.Authorization, 'Bearer successor-of-' + first)
  assert.equal(logins, 1)
})

test('a new token that comes after a logout or another login is nobody\'s', async () => {
  await request({ url: '/a' })
  answer = renewing('X-Session-Token')
  const slow = request({ url: '/slow' })
  await logOut()
  await slow
  assert.equal(storage[config.storageKey], undefined)
  answer = gateway
  await request({ url: '/b' })
  answer = renewing('X-Session-Token')
  const again = request({ url: '/slow' })
  storage[config.storageKey] = { token: 'of another login', until: Date.now() + 1e6 }
  await again
  assert.equal(storage[config.storageKey].token, 'of another login')
})

test('a new token without its time is left alone', async () => {
  for (const seconds of ['', 'soon', '0', '-5']) {
    storage = {}
    answer = renewing('X-Session-Token', seconds)
    await request({ url: '/a' })
    assert.equal(storage[config.storageKey].token, good)
  }
})

test('an old token is not even sent', async () => {
  storage[config.storageKey] = { token: 'old', until: Date.now() - 1 }
  await request({ url: '/a' })
  assert.ok(!sent.some(({ header }) => header?.Authorization === 'Bearer old'))
})

if (process.env.WXGATE) {
  test('all of it over a real gateway', async () => {
    config.baseUrl = process.env.WXGATE
    const appid = process.env.APPID
    wx.login = async ({ success }) => {
      logins += 1
      const body = new URLSearchParams({ user: 'alice', appid })
      success(await (await fetch(process.env.SIMULATOR + '/_sim/codes', { method: 'POST', body })).json())
    }
    wx.request = async ({ url, method = 'GET', data, header, success, fail }) => {
      const headers = {
        'content-type': 'application/json',
        referer: `https://servicewechat.com/${appid}/devtools/page-frame.html`,
        ...header,
      }
      try {
        const got = await fetch(url, { method, headers, body: data && JSON.stringify(data) })
        const text = await got.text()
        success({ statusCode: got.status, header: Object.fromEntries(got.headers), data: text && JSON.parse(text) })
      } catch (error) {
        fail({ errMsg: String(error) })
      }
    }
    const answers = await Promise.all([1, 2, 3].map((n) => request({ url: '/api/' + n })))
    assert.deepEqual(answers.map(({ statusCode }) => statusCode), [200, 200, 200])
    assert.equal(logins, 1)
    const kept = storage[config.storageKey]
    await logOut()
    storage[config.storageKey] = kept
    assert.equal((await request({ url: '/api/again' })).statusCode, 200)
    assert.equal(logins, 2, 'the ended session cost one login')
  })
}
