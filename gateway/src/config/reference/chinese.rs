//! The reference in Chinese. A test compares its keys with those of the schema.

use super::{Kinds, Language};

pub(super) const CHINESE: Language = Language {
    intro: include_str!("intro.zh-CN.md"),
    top: "文件顶层",
    columns: ["配置项", "类型", "默认值", "说明"],
    kinds: Kinds {
        text: "文本",
        number: "整数",
        boolean: "true 或 false",
        list_of: "列表：",
        time: "时间",
        size: "大小",
        rate: "速率",
        secret: "密钥",
    },
    meaning: |path, english| meaning(path).unwrap_or(english).to_owned(),
};

fn meaning(path: &str) -> Option<&'static str> {
    MEANINGS.iter().find(|(key, _)| *key == path).map(|(_, text)| *text)
}

#[cfg(test)]
pub(super) fn paths() -> Vec<&'static str> {
    MEANINGS.iter().map(|(path, _)| *path).collect()
}

const MEANINGS: &[(&str, &str)] = &[
    ("version", "配置格式的版本：1。必填，避免把以后的格式误读成现在的。"),
    (
        "include",
        "引入的其他文件，如 `[\"conf.d/*.toml\"]`。路径以本文件所在目录为准；`*` 只能出现在最后一段；不允许 `..` 和绝对路径。表按键合并，路由列表依次相接，同一个键写在两处视为错误。只有主文件可以引入其他文件。",
    ),
    ("server", "对外的监听地址，以及客户端连接的各种限制。"),
    (
        "server.listen",
        "不使用 TLS 接收流量的地址，格式 `ip:端口`。默认只监听本机，对外开放需要自己写明。配置了 `tls.listen` 时可以为空。",
    ),
    ("server.workers", "处理流量的线程数。省略时每个 CPU 核一个。"),
    (
        "server.trusted_proxies",
        "只相信这些网段发来的 `X-Forwarded-For` 和 `X-Forwarded-Proto`，例如负载均衡。默认谁都不信，因为任何人都能写这些头。不允许信任全部地址（`/0`）。",
    ),
    (
        "server.header_timeout",
        "从请求头的第一个字节到最后一个字节的时限，慢速客户端不能占住连接更久。最多 60 秒；长连接上若 `keepalive_timeout` 更短，则以它为准。",
    ),
    ("server.keepalive_timeout", "空闲的长连接超过这个时间就关闭。"),
    ("server.read_timeout", "读取请求体时，两次读取之间的最长间隔。"),
    (
        "server.write_timeout",
        "向客户端写入时累计可以停顿多久；客户端每收下 1 KiB 补回一秒。网络慢的客户端照常得到服务，偶尔才收一个字节的会被断开。",
    ),
    ("server.header_bytes_max", "请求行与请求头的总大小；超过则以 431 拒绝。"),
    ("server.target_bytes_max", "路径与查询串的总大小；超过返回 414。"),
    (
        "server.body_bytes_max",
        "请求体大小上限，路由没有单独设置时生效；超过返回 413。请求体是流式转发的，上限大也不占内存。`\"0B\"` 表示不允许请求体。",
    ),
    (
        "server.connections_max",
        "客户端连接的总数上限，正在握手的也计入。超过时关闭空闲最久的连接；没有空闲连接时关闭新来的。每个连接可能占用两个文件描述符（`ulimit -n`）。",
    ),
    (
        "server.connections_per_address_max",
        "同一地址（IPv6 按 /64）的连接数上限，超过的直接关闭。`trusted_proxies` 不受此限。移动运营商的一个出口地址后面有很多用户，没有列入的负载均衡后面则是全部用户。",
    ),
    (
        "server.upstream_pool",
        "到所有业务服务的空闲长连接总数。应大于并发请求的峰值，否则会不停地新建和关闭连接。",
    ),
    (
        "server.drain_delay",
        "收到 SIGTERM 后，就绪检查先变为失败，这段时间内仍接收新请求，让负载均衡来得及摘除本节点。",
    ),
    ("server.drain_timeout", "之后，正在处理的请求还有多长时间可以完成。"),
    ("tls", "对外的 TLS 监听地址，以及使用的证书。"),
    ("tls.listen", "通过 TLS 1.2 或 1.3 接收 HTTP/1.1、HTTP/2 流量的地址，格式 `ip:端口`。"),
    (
        "tls.certificate",
        "证书。每张证书服务于其中写明的域名（`*.example.com` 表示恰好多一级）和 IP 地址。握手时没有给出域名的客户端使用第一张。",
    ),
    (
        "tls.certificate.chain",
        "证书文件，PEM 格式：自己的证书在最前，之后是到根证书之间的各级证书。相对路径以主配置文件所在目录为准。",
    ),
    ("tls.certificate.key", "证书私钥的文件，PEM 格式。"),
    ("admin", "管理端口：健康检查、指标、会话管理。"),
    (
        "admin.listen",
        "健康检查、指标和会话管理的地址。非回环地址需要设置 `token`，此时只有 `/livez` 和 `/readyz` 不要求凭证。这个监听不支持 TLS：请放在自己的内网。",
    ),
    (
        "admin.token",
        "运维人员的凭证，放在 `Authorization: Bearer` 里：至少 32 个字符，用 `wxgate keygen --alg token` 生成。不设置：任何人都不能查看或结束会话。",
    ),
    (
        "admin.service",
        "可以使用用户 `session_key`（但看不到它）的业务服务：`[admin.service.NAME]`。NAME 会写入日志。",
    ),
    (
        "admin.service.token",
        "这个服务的凭证，放在 `Authorization: Bearer` 里，只能用于 `/session-data/`；生成方法同 `admin.token`。必填。",
    ),
    ("admin.service.apps", "它可以查询哪些小程序的用户，写 `[app]` 的名字。省略：全部；空列表：一个也不行。"),
    (
        "admin.service.checks",
        "它可以多频繁地向微信查询 `session_key` 是否仍然有效，按小程序分别计算；超过以 429 拒绝，以免一个服务用完小程序在微信的配额。每个网关各自计数。`\"off\"` 关闭限制。",
    ),
    ("log", "记录哪些日志，以什么格式。"),
    ("log.format", "日志格式：`auto` 在终端上输出文本，其他情况输出 JSON。"),
    (
        "log.level",
        "最低日志级别：`error`、`warn`、`info`、`debug` 或 `trace`；也可以按模块设置，如 `\"info,wxgate=debug\"`。\
         第三方库的日志无论如何设置都只输出 `warn` 及以上：更低的级别会写出请求头和 URL，其中有 token 和 AppSecret。",
    ),
    ("log.access", "是否为每个请求记录一行。"),
    ("token", "登录 token：如何签名、有效多久、客户端放在哪里。"),
    (
        "token.keys",
        "签名密钥，至少一把。第一把用于签发，所有密钥都可用于验证。轮换时把新密钥放在最前面（有多个节点时，先在所有节点上放在后面），过了 `ttl` 再移除旧密钥。每把是 PEM 私钥（PKCS#8，P-256 或 Ed25519），或不少于 256 位的 HMAC 密钥：至少 32 字节，十六进制则至少 64 位字符。",
    ),
    (
        "token.keys.kid",
        "密钥在 token 和 JWKS 中的名字：1 到 64 个 `A-Z a-z 0-9 . _ -`。用过的名字不要再给另一把密钥。",
    ),
    ("token.keys.env", "保存密钥的环境变量名。"),
    ("token.keys.file", "保存密钥的文件；相对路径以主配置文件所在目录为准。"),
    ("token.keys.secret", "密钥本身。只有 `wxgate dev` 接受：配置文件太容易被复制或提交。"),
    (
        "token.ttl",
        "token 的有效期，也就是会话可以闲置多久：token 的后半段有效期内没有用过，会话就结束，客户端用 `wx.login` 静默地重新登录。有效期短，token 被盗的损失就小。最长 30 天。",
    ),
    (
        "token.renew",
        "有效期过半的 token 是否换新：新 token 在应答头 `X-Session-Token` 里，属于同一个会话，直到 `session.lifetime` 结束。旧 token 在自己的有效期内仍然有效。可能被缓存并再次给出的应答不带新 token（`Cache-Control` 有 `public`、`s-maxage`、`immutable` 或大于 0 的 `max-age`，或者有 `Expires`）；带新 token 的应答是 `no-store`。路由可以另行设置。",
    ),
    ("token.issuer", "`iss` 声明。其他签发者的 token 会被拒绝；每个环境请用不同的值。"),
    ("token.leeway", "判断 token 时间时允许的时钟误差。最多 60 秒。"),
    ("token.cache_entries", "记住多少个已验证的 token，使签名只验一次；0 表示关闭缓存。每个最多占 1 KiB。"),
    (
        "token.headers",
        "依次在这些请求头中查找 token。`authorization` 表示 Bearer 方式，其他名字表示头的内容就是 token。",
    ),
    (
        "token.query",
        "在设置了 `token_in_query` 的路由上，从这个查询参数读取 token，供无法设置请求头的客户端使用。",
    ),
    ("session", "token 背后的登录会话。"),
    (
        "session.lifetime",
        "会话从登录起的最长时间，无论是否活跃，token 也不会比它更久；到期后客户端需要重新调用 `wx.login`。不能小于 `token.ttl`。改短立即对所有会话生效，改长只对之后的登录生效。",
    ),
    ("store", "会话保存在哪里。"),
    (
        "store.kind",
        "`embedded` 是单节点上的一个文件，重启不丢失；`memory` 随进程结束而消失；`redis` 由多个节点共用。省略时，给出了 `redis` 就是 `redis`，否则是 `embedded`。",
    ),
    (
        "store.path",
        "`embedded` 使用的文件。省略时为 `wxgate.redb`。相对路径以主配置文件所在目录为准。网关启动时目录必须已经存在。",
    ),
    (
        "store.sessions_max",
        "最多同时保存的会话数；超过后拒绝登录，避免磁盘被写满。Redis 有它自己的上限 `maxmemory`。",
    ),
    (
        "store.redis",
        "Redis（6.2 以上）或 Valkey 的地址：`redis://user:password@host:6379/0`、`redis-sentinel://:password@host1:26379,host2:26379/master-name`、`redis-cluster://host1,host2,host3`、`redis+unix:///path/to.sock`；写成 `rediss…` 就是经由 TLS。用户名和密码要做百分号编码。给出同一个 Redis 的节点共用会话。它是机密：`{ env = \"X\" }` 或 `{ file = \"…\" }`。",
    ),
    (
        "store.redis_prefix",
        "Redis 中所有键的前缀，1 到 32 个 `A-Z a-z 0-9 _ - . :`。不应共用会话的两套网关要用不同的前缀。",
    ),
    ("store.redis_ca", "使用 `rediss…` 时，签发 Redis 证书的 CA 证书文件（PEM）。省略时用系统的。"),
    ("store.redis_connect_timeout", "与一台 Redis 建立连接的时限。不大于 `redis_command_timeout`。"),
    (
        "store.redis_command_timeout",
        "一条命令的时限，含建立连接和一次重试。Redis 不应答时，登录最多等这么久；其他请求从不等它。",
    ),
    (
        "store.redis_reread",
        "每隔多久重新读取其他节点上结束的会话。平时会立刻收到通知，这是为了不漏掉没收到的通知。",
    ),
    (
        "store.redis_stale_after",
        "节点有这么久读不到其他节点上结束的会话，就可能放行已经结束的会话；`on_store_down = \"deny\"` 的路由从这时起拒绝请求。不小于 `redis_reread` 与 `redis_command_timeout` 之和。",
    ),
    (
        "store.keys",
        "加密文件或 Redis 中每个 `session_key` 的密钥，至少一把，各节点相同，用 `wxgate keygen --alg aes256` 生成。第一把用于加密，所有密钥都可用于解密。轮换时把新密钥放在最前面（有多个节点时，先在所有节点上放在后面），过了 `session.lifetime` 再移除旧密钥。密钥已不在的会话照常有效，只是没有了 `session_key`。`wxgate dev` 在没有给出密钥时，为本次运行生成一把。",
    ),
    (
        "store.keys.kid",
        "密钥的名字，与它加密的内容存在一起：1 到 64 个 `A-Z a-z 0-9 . _ -`。用过的名字不要再给另一把密钥。",
    ),
    ("store.keys.env", "保存密钥的环境变量名。"),
    ("store.keys.file", "保存密钥的文件；相对路径以主配置文件所在目录为准。"),
    ("store.keys.secret", "密钥本身。只有 `wxgate dev` 接受：配置文件太容易被复制或提交。"),
    ("wechat", "如何调用微信接口。"),
    (
        "wechat.base_urls",
        "微信接口的地址。在请求还没有发出去时，失败会依次尝试下一个。只有回环地址可以使用明文 `http`，因为请求中带有 AppSecret。",
    ),
    ("wechat.connect_timeout", "与微信建立连接的时限。必须小于 `timeout`。"),
    ("wechat.timeout", "用 code 换取会话的总时限，包括重试。最长 60 秒，到那时小程序已经放弃等待。"),
    ("wechat.concurrency", "同时进行的 code 换取请求数；更多的登录会排队等待。"),
    ("login", "`/login` 的行为。"),
    ("login.openid_in_answer", "登录应答中是否包含 openid。业务服务从网关得到 openid，客户端很少需要它。"),
    (
        "login.replay",
        "同一个 code 在这段时间内会得到同一个会话，客户端没收到应答时直接重试即可；`\"0s\"` 表示关闭。最长 5 分钟，即 code 的有效期。",
    ),
    (
        "login.rate",
        "同一个客户端地址可以发多少次登录，IPv6 按 /64 计；超过返回 429，不再为它做任何事。默认值给运营商或公司共用一个地址的几百个用户留有余地，又不让一台机器用完预算。如果负载均衡没有写进 `server.trusted_proxies`，全部用户会算作同一个地址。`\"off\"` 表示关闭。",
    ),
    (
        "login.budget",
        "每个小程序最多向微信换取多少个 code；超过返回 429，不去问微信，免得伪造的 code 用完它在微信的额度。由记忆直接应答的 code 不计数。微信的 code2Session 文档（45011）没有给出整个小程序的数字，较早的一版写的是每个用户每分钟 100 次；默认值约为一百万日活的高峰小时，更大的小程序请调大。每个网关各自计数。`\"off\"` 表示关闭。",
    ),
    ("endpoints", "网关自己应答的路径，对所有域名有效。写成空文本表示关闭。"),
    ("endpoints.login", "`POST` `wx.login` 得到的 code，返回 token。"),
    ("endpoints.logout", "`POST` 结束 token 对应的会话。"),
    ("endpoints.session", "`GET` 返回调用者是谁、会话到何时。"),
    ("endpoints.jwks", "`GET` 返回公钥，供自行验证签名的服务使用。"),
    (
        "identity",
        "业务服务从这些请求头得知调用者是谁。每个请求和应答中的这些头，无论怎样拼写，都会先被删除，再由网关写入。默认名字与微信云托管相同，为它编写的服务无需修改。",
    ),
    ("identity.openid", "携带调用者 openid 的请求头。"),
    ("identity.appid", "携带小程序 appid 的请求头。"),
    ("identity.unionid", "携带 unionid 的请求头；微信返回了 unionid 才会设置。"),
    ("identity.source", "说明身份来源的请求头。"),
    ("identity.assertion", "携带签名断言的请求头，只发给设置了 `assertion` 的业务服务。"),
    ("identity.env", "携带环境名称的请求头。"),
    ("identity.env_value", "`env` 请求头的值，如 `\"prod\"`。省略时不设置这个头。"),
    ("identity.also_protected", "其他受保护的头：客户端不能设置，业务服务也不能返回。"),
    ("app", "一个小程序。NAME 由你命名，供路由和日志使用。"),
    ("app.appid", "小程序的 appid：`wx` 加 16 位小写十六进制字符。必填。"),
    (
        "app.secret",
        "AppSecret：`{ env = \"变量名\" }` 或 `{ file = \"…\" }`；只有 `wxgate dev` 允许直接写内容。必填。",
    ),
    ("upstream", "网关后面的一个业务服务。NAME 由你命名，供路由和指标使用。"),
    (
        "upstream.servers",
        "服务的各个实例，格式 `主机:端口`，至少一个。请求分摊到各实例，域名在后台解析。必填。",
    ),
    ("upstream.connect_timeout", "与实例建立连接的时限。"),
    ("upstream.read_timeout", "读取应答时，两次读取之间的最长间隔。"),
    ("upstream.write_timeout", "发送请求时，单次写入的最长时间。"),
    (
        "upstream.idle_timeout",
        "空闲超过这个时间的长连接会被关闭。应小于服务端自己的超时，否则请求可能撞上正在关闭的连接。",
    ),
    ("upstream.websocket_idle_timeout", "WebSocket 双方都没有数据超过这个时间，连接会被关闭。"),
    ("upstream.tries", "实例无法连接时，最多尝试几个实例。"),
    ("upstream.host", "业务服务看到的 `Host`。省略时为客户端发来的值。"),
    (
        "upstream.assertion",
        "业务服务是否得到一份签名断言，说明调用者是谁，可以用 JWKS 验证：有效期 60 秒的 JWT，`aud` 是 NAME，放在请求头 `identity.assertion` 里。要求 `token.keys` 的第一把是 ES256 或 EdDSA 密钥。",
    ),
    ("route", "哪些请求去哪里，谁可以访问。最具体的路由优先，与书写顺序无关；两条路由不分先后视为错误。"),
    ("route.name", "日志和指标中的名字。省略时用路径；需要区分时前面加上方法和域名。"),
    (
        "route.hosts",
        "域名，如 `\"shop.example.com\"` 或 `\"*.example.com\"`（恰好多一级），不带端口。省略时不限域名。",
    ),
    (
        "route.path",
        "`/exact`、`/prefix/*`（前缀本身及其下所有路径）或 `/item/{id}`（任意一段）。区分大小写。必填。",
    ),
    ("route.methods", "方法，如 `[\"GET\", \"POST\"]`。省略时不限方法。"),
    ("route.upstream", "业务服务的名字。除 `auth = \"deny\"` 外必填。"),
    (
        "route.auth",
        "谁可以通过。`required`：token 有效的调用者。`optional`：没有 token 也可以，但无效的 token 会被拒绝。`lenient`：无效的 token 当作没有 token。`none`：不检查 token，业务服务得不到身份。`deny`：一律拒绝。在它之下不起作用的键视为错误，如 `none` 时的 `apps`、`deny` 时的 `rate`。",
    ),
    ("route.apps", "只允许这些小程序的用户。省略时不限；空列表表示谁都不允许。"),
    ("route.websocket", "请求是否可以升级为 WebSocket。"),
    ("route.strip_prefix", "转发前从路径中去掉的前缀：必须是 `path` 开头的若干个完整的固定段。"),
    ("route.rate", "一段时间内允许多少请求。省略时不限。"),
    (
        "route.rate.per",
        "按什么计数。`openid`：每个用户；未登录的请求按地址计数。`address`：每个客户端地址，IPv6 按 /64。",
    ),
    ("route.rate.limit", "每秒、每分钟或每小时的请求数，如 `\"20/s\"`。必填。"),
    ("route.body_bytes_max", "本路由的请求体大小上限；超过返回 413。省略时为 `server.body_bytes_max`。"),
    (
        "route.token_in_query",
        "是否允许用查询参数 `token.query` 携带 token。网址会留在日志和历史记录里，只在客户端无法设置请求头时开启。",
    ),
    ("route.renew", "这个路由的应答是否带上有效期过半的 token 的新 token。省略时为 `token.renew`。"),
    ("route.forward_token", "业务服务是否能看到 token。信任身份请求头的服务不需要它。"),
    (
        "route.on_store_down",
        "多个节点共用的 Redis 读不到、因而可能不知道会话已在别的节点上结束时（见 `store.redis_stale_after`），如何对待调用者。`allow`：按 token 放行。`deny`：以 503 拒绝，已打开的 WebSocket 也会关闭。单节点的存储不会过时。",
    ),
];
