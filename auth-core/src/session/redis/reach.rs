//! How a connection is made: to the one server, to the master that the Sentinels name, to a cluster.

use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisConnectionInfo, RedisResult, TlsCertificates, Value, cmd,
};
use tokio::time::timeout;

use super::RedisSettings;
use super::address::{Host, Login, Servers};
use super::error::RedisError;

/// After how long without traffic the machine asks whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How often the client for clusters tries one command: it follows moved slots and promoted replicas by itself.
const CLUSTER_TRIES: u32 = 5;
/// How long it waits between them, in milliseconds.
const CLUSTER_WAIT_MS: (u64, u64) = (20, 200);

/// How a certificate in PEM begins.
const PEM_HEAD: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The way to Redis. It holds no connection.
pub(super) struct Reach {
    way: Way,
    /// Who the gateway is at the servers that keep sessions.
    login: RedisConnectionInfo,
    tls: bool,
    roots: Option<Vec<u8>>,
    connect: Duration,
    command: Duration,
}

enum Way {
    One(Client),
    Sentinels { clients: Vec<Client>, master: String },
    Cluster { client: Box<ClusterClient>, nodes: Vec<Client> },
}

/// A connection for commands; its clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    /// To the master that the Sentinels named, and where that is.
    Master(MultiplexedConnection, Host),
    Cluster(ClusterConnection),
}

impl Connection {
    pub(super) async fn query(&self, command: &Cmd) -> Result<Value, RedisError> {
        Ok(match self {
            Self::One(connection) | Self::Master(connection, _) => {
                command.query_async(&mut connection.clone()).await
            }
            Self::Cluster(connection) => command.query_async(&mut connection.clone()).await,
        }?)
    }
}

impl Reach {
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, RedisError> {
        let address = &settings.address;
        let (tls, roots) = (address.tls, settings.root_certificates.clone());
        let (connect, command) = (settings.connect, settings.command);
        if tls {
            // The client takes the provider of the process, and panics without one. What is installed already stays.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let login = login(&address.login).set_db(address.db);
        let client = |host: &Host, login| client(tcp(host, tls), login, roots.as_ref());
        let way = match &address.servers {
            Servers::One(host) => Way::One(client(host, &login)?),
            Servers::Unix(path) => Way::One(self::client(ConnectionAddr::Unix(path.clone()), &login, None)?),
            Servers::Sentinels { hosts, master } => {
                let own = self::login(&address.sentinel_login);
                let clients = hosts.iter().map(|host| client(host, &own)).collect::<Result<_, _>>()?;
                Way::Sentinels { clients, master: master.clone() }
            }
            Servers::Cluster(hosts) => {
                let nodes: Vec<Client> =
                    hosts.iter().map(|host| client(host, &login)).collect::<Result<_, _>>()?;
                let cluster = cluster(&nodes, roots.as_ref(), connect, command)?;
                Way::Cluster { client: Box::new(cluster), nodes }
            }
        };
        Ok(Self { way, login, tls, roots, connect, command })
    }

    pub(super) const fn has_sentinels(&self) -> bool {
        matches!(self.way, Way::Sentinels { .. })
    }

    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.way, Way::Cluster { .. })
    }

    /// A new connection for commands, to a master where there are several servers.
    pub(super) async fn connect(&self) -> Result<Connection, RedisError> {
        match &self.way {
            Way::One(client) => Ok(Connection::One(self.open(client).await?)),
            Way::Sentinels { clients, master } => {
                let (host, _) = self.vote(clients, master).await?;
                let connection = self.open(&self.server(&host)?).await?;
                self.prove_master(&connection).await?;
                Ok(Connection::Master(connection, host))
            }
            Way::Cluster { client, .. } => {
                // It connects to its nodes and then asks them for the slots.
                let connected = within(self.connect + self.command, client.get_async_connection()).await?;
                Ok(Connection::Cluster(connected))
            }
        }
    }

    /// Whether the master at `host` is still the one that most Sentinels name. One that is cut off from them does not know that
    /// another has taken over, and answers as before.
    pub(super) async fn prove_current(&self, host: &Host) -> Result<(), RedisError> {
        let Way::Sentinels { clients, master } = &self.way else { return Ok(()) };
        let (named, votes) = self.vote(clients, master).await.map_err(|_| RedisError::Unproven)?;
        if votes * 2 <= clients.len() {
            return Err(RedisError::Unproven);
        }
        if named == *host { Ok(()) } else { Err(RedisError::NoMaster("another has taken over".into())) }
    }

    /// A new connection that hears `channel`; where there are Sentinels, to the master at that address. In a cluster any node
    /// does: what is published reaches all of them.
    pub(super) async fn listen(&self, channel: &str) -> Result<(PubSub, Option<Host>), RedisError> {
        match &self.way {
            Way::One(client) => Ok((self.hear(client, channel).await?, None)),
            Way::Sentinels { clients, master } => {
                let (host, _) = self.vote(clients, master).await?;
                Ok((self.hear(&self.server(&host)?, channel).await?, Some(host)))
            }
            Way::Cluster { nodes, .. } => {
                let mut result = Err(RedisError::Setting("no server is named"));
                for node in nodes {
                    result = self.hear(node, channel).await;
                    if result.is_ok() {
                        break;
                    }
                }
                Ok((result?, None))
            }
        }
    }

    async fn hear(&self, client: &Client, channel: &str) -> Result<PubSub, RedisError> {
        within(self.connect, async {
            let mut heard = client.get_async_pubsub().await?;
            heard.subscribe(channel).await?;
            Ok(heard)
        })
        .await
    }

    fn server(&self, host: &Host) -> Result<Client, RedisError> {
        client(tcp(host, self.tls), &self.login, self.roots.as_ref())
    }

    async fn open(&self, client: &Client) -> Result<MultiplexedConnection, RedisError> {
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect))
            // The limit for a command is set where it is asked, for all its attempts together.
            .set_response_timeout(None);
        within(self.connect, client.get_multiplexed_async_connection_with_config(&limits)).await
    }

    /// The master that most Sentinels name, and how many do. All are asked at once, so that a silent one delays nothing, and not
    /// the first answer counts: a Sentinel that is cut off still names the master of before the failover.
    async fn vote(&self, sentinels: &[Client], name: &str) -> Result<(Host, usize), RedisError> {
        let mut answers: FuturesUnordered<_> =
            sentinels.iter().map(|sentinel| self.ask_sentinel(sentinel, name)).collect();
        let mut votes: Vec<(Host, usize)> = Vec::new();
        let mut why = RedisError::NoMaster("none answers".into());
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(host) => match votes.iter_mut().find(|(named, _)| *named == host) {
                    Some((_, count)) => *count += 1,
                    None => votes.push((host, 1)),
                },
                Err(other) => why = other,
            }
            if votes.iter().any(|(_, count)| *count > sentinels.len() / 2) {
                break;
            }
        }
        let most = votes.into_iter().max_by_key(|(_, count)| *count);
        most.ok_or_else(|| RedisError::NoMaster(why.to_string().into()))
    }

    async fn ask_sentinel(&self, sentinel: &Client, name: &str) -> Result<Host, RedisError> {
        let mut connection = self.open(sentinel).await?;
        let mut question = cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let found: Option<Host> = within(self.connect, question.query_async(&mut connection)).await?;
        found.ok_or_else(|| RedisError::NoMaster("that name is not known".into()))
    }

    /// Sentinels may name a server that is not yet, or no longer, the master: it says itself.
    async fn prove_master(&self, connection: &MultiplexedConnection) -> Result<(), RedisError> {
        let role: RedisResult<Vec<Value>> =
            timeout(self.connect, cmd("ROLE").query_async(&mut connection.clone()))
                .await
                .map_err(|_| RedisError::TooSlow(self.connect))?;
        match role.map_err(RedisError::from) {
            Ok(role) => match role.first() {
                Some(Value::BulkString(role)) if role != b"master" => {
                    Err(RedisError::NoMaster("the one they name is a replica".into()))
                }
                _ => Ok(()),
            },
            // Not allowed to ask: then a refused write will tell.
            Err(RedisError::Refused(_)) => Ok(()),
            Err(why) => Err(why),
        }
    }
}

async fn within<T>(
    limit: Duration,
    connecting: impl Future<Output = RedisResult<T>>,
) -> Result<T, RedisError> {
    Ok(timeout(limit, connecting).await.map_err(|_| RedisError::TooSlow(limit))??)
}

fn login(login: &Login) -> RedisConnectionInfo {
    // Not the name of the client: a user with few rights may not tell it, and Redis would log that.
    let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(user) = login.user() {
        info = info.set_username(user);
    }
    if let Some(password) = login.password() {
        info = info.set_password(password);
    }
    info
}

fn tcp((host, port): &Host, tls: bool) -> ConnectionAddr {
    if tls {
        ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host.clone(), *port)
    }
}

fn client(
    address: ConnectionAddr,
    login: &RedisConnectionInfo,
    roots: Option<&Vec<u8>>,
) -> Result<Client, RedisError> {
    let tls = matches!(address, ConnectionAddr::TcpTls { .. });
    let info: ConnectionInfo = address.into_connection_info()?;
    let info = info.set_redis_settings(login.clone()).set_tcp_settings(sockets());
    match roots.filter(|_| tls) {
        Some(roots) => {
            let wrong = RedisError::Setting("the root certificates for Redis are not PEM certificates");
            // A text without any would make a client that trusts nobody, and say so only when it connects.
            if !roots.windows(PEM_HEAD.len()).any(|window| window == PEM_HEAD) {
                return Err(wrong);
            }
            Client::build_with_tls(info, certificates(roots)).map_err(|_| wrong)
        }
        None => Ok(Client::open(info)?),
    }
}

fn cluster(
    nodes: &[Client],
    roots: Option<&Vec<u8>>,
    connect: Duration,
    command: Duration,
) -> Result<ClusterClient, RedisError> {
    let infos: Vec<_> = nodes.iter().map(|node| node.get_connection_info().clone()).collect();
    let tls = infos.iter().any(|info| matches!(info.addr(), ConnectionAddr::TcpTls { .. }));
    let mut builder = ClusterClient::builder(infos)
        .connection_timeout(connect)
        .response_timeout(command)
        .overall_response_timeout(Some(command))
        .retries(CLUSTER_TRIES)
        .min_retry_wait(CLUSTER_WAIT_MS.0)
        .max_retry_wait(CLUSTER_WAIT_MS.1)
        .tcp_settings(sockets());
    if let Some(roots) = roots.filter(|_| tls) {
        builder = builder.certs(certificates(roots));
    }
    Ok(builder.build()?)
}

fn certificates(roots: &[u8]) -> TlsCertificates {
    TlsCertificates { client_tls: None, root_cert: Some(roots.to_vec()) }
}

fn sockets() -> TcpSettings {
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))
}
