// A service behind wxgate: who calls stands in three headers, and there is no other auth code.
const express = require('express')

const app = express()

app.get('/api/me', (req, res) => {
  res.json({
    openid: req.get('X-WX-OPENID') ?? null, // null: an anonymous request
    appid: req.get('X-WX-APPID') ?? null,
    unionid: req.get('X-WX-UNIONID') ?? null,
  })
})

app.listen(process.env.PORT ?? 3000, '127.0.0.1')
