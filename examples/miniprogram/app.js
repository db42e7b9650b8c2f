const { logIn } = require('./request')

App({
  onLaunch() {
    // Early, so that the first page does not wait for it. If it fails, the first request tries again.
    logIn().catch((why) => console.warn('login failed', why))
  },
})
