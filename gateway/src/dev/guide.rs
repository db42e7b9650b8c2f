//! What `wxgate dev` prints: lines to paste, in order, that show what the gateway does.

use super::Arguments;
use crate::config::Checked;

/// The guide. Each command stands on a line of its own; the tests run them as printed.
pub(super) fn text(arguments: &Arguments, config: &Checked) -> String {
    let gateway = format!("http://127.0.0.1:{}", arguments.port);
    let (sim, admin) = (arguments.sim_port, arguments.admin_port);
    let appid = config.apps.first().map_or("", |app| app.wechat.appid.as_str());
    let field = |name: &str| format!("sed 's/.*\"{name}\":\"\\([^\"]*\\)\".*/\\1/'");
    let (code, token) = (field("code"), field("token"));
    format!(
        r#"
wxgate is running.  网关已启动。
  gateway    {gateway}    (health and metrics: http://127.0.0.1:{admin}/readyz /metrics)
  simulator  http://127.0.0.1:{sim}    (plays WeChat: no account needed  模拟微信服务器，无需小程序账号)

Paste these lines one after another.  逐行粘贴执行：

# 1. A code, as wx.login gives it.  获取登录 code
CODE=$(curl -s http://127.0.0.1:{sim}/_sim/codes -d user=alice -d appid={appid} | {code})

# 2. Log in: the code goes in, a token comes out.  用 code 登录，换取 token
TOKEN=$(curl -s {gateway}/login -H 'Content-Type: application/json' -d "{{\"code\":\"$CODE\",\"appid\":\"{appid}\"}}" | {token})

# 3. Call the service: it sees who you are in X-WX-OPENID.  携带 token 访问业务服务，服务收到 X-WX-OPENID
curl -s {gateway}/api/hello -H "Authorization: Bearer $TOKEN"

# 4. Without a token: refused, and the service sees nothing.  不带 token：401
curl -si {gateway}/api/hello

# 5. Pretend to be someone else: the true openid replaces yours.  伪造 X-WX-OPENID：被替换为真实值
curl -s {gateway}/api/hello -H "Authorization: Bearer $TOKEN" -H 'X-WX-OPENID: evil' -H 'X_WX_OPENID: evil'

# 6. Pretend on a public route: removed.  在公开路由上伪造：被删除
curl -s {gateway}/public/hello -H 'X-WX-OPENID: evil'

# 7. Who am I, and until when?  查看当前会话
curl -s {gateway}/session -H "Authorization: Bearer $TOKEN"

# 8. Log out: the token ends at once.  退出登录，token 立即失效
curl -si -X POST {gateway}/logout -H "Authorization: Bearer $TOKEN"
curl -si {gateway}/api/hello -H "Authorization: Bearer $TOKEN"

Ctrl-C ends it.  按 Ctrl-C 结束。
"#
    )
}
