//! THE WAY of a request. Whoever reads this file from top to bottom knows what can happen, and in which order.

mod greeting;
mod inbound;
mod outbound;
mod renewed;
mod failure;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};

use crate::connection::Facts;
use crate::context::{Context, RequestIds};
use crate::denied::Denied;
use crate::front::{Close, Front, Judge};
use crate::in_flight::InFlight;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;
use crate::steps::authenticate::{Authenticated, authenticate, authenticate_again};
use crate::steps::inject::{Provenance, forget_spelling, remove_token};
use crate::steps::log;
use crate::steps::log::{AccessLog, Line};
use crate::steps::policy::{denies_now, permit};
use crate::steps::route::{Destination, Endpoint};
use crate::target::{self, BadTarget, canonical};
use crate::{connection, endpoints, framing, reply, websocket};

/// The proxy: one for all public listeners.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) live: Live,
    pub(crate) access_log: Option<Arc<AccessLog>>,
    pub(crate) request_ids: RequestIds,
    pub(crate) in_flight: InFlight,
    /// Set when the process is about to end: answers then tell their clients to connect anew, elsewhere.
    pub(crate) draining: Arc<AtomicBool>,
    /// Set when the time to drain is over: open WebSockets then end.
    pub(crate) leaving: Arc<AtomicBool>,
}

/// What steps 1 to 3 decide.
enum Way {
    /// To an upstream, by the permit in the context.
    Onward,
    /// Answered here.
    Endpoint(Endpoint),
}

impl Proxy {
    /// Steps 1 to 3.
    fn decide(&self, session: &mut Session, context: &mut Context) -> Result<Way, Denied> {
        let snapshot = &*Arc::clone(&context.snapshot);
        if let Some(refusal) = Front::refusal(session) {
            return Err(refusal.into());
        }
        Self::unify(session)?;
        let raw_head = session.as_downstream().to_h1_raw();
        framing::check(session.req_header().version, &session.req_header().headers)?;
        let destination = Self::route(snapshot, session, &raw_head)?;
        context.destination = Some(destination);
        let id = match destination {
            Destination::Endpoint(endpoint) => return Ok(Way::Endpoint(endpoint)),
            Destination::Route(id) => id,
        };
        let (route, request) = (&snapshot.routes[id.0], session.req_header());
        let query = request.uri.query().filter(|_| route.token_in_query);
        let (verifier, sources) = (&snapshot.verifier, &snapshot.token_sources);
        let caller = match Front::last_caller(session) {
            Some(last) => authenticate_again(last, verifier, sources, route.auth, &request.headers, query),
            None => authenticate(verifier, sources, route.auth, &request.headers, query),
        };
        count_auth(&snapshot.lasting.metrics, &caller);
        let (revocations, limiter) = (&snapshot.lasting.revocations, snapshot.limiters[id.0].as_deref());
        let permit = permit(id, route, caller?, revocations, limiter, context.client)?;
        if route.websocket {
            context.websocket = websocket::is_handshake(&request.method, request.version, &request.headers)?;
        }
        if framing::announced_length(&request.headers).is_some_and(|length| length > route.body_bytes_max) {
            return Err(Denied::BodyTooLarge);
        }
        if context.websocket {
            // A silence has another limit than in a request body.
            session.set_read_timeout(Some(snapshot.upstreams.websocket_idle_timeout(&permit)));
        }
        context.permit = Some(permit);
        forget_spelling(session.req_header_mut());
        Ok(Way::Onward)
    }

    /// Step 1. From here on the request carries its canonical target, and nobody sees another.
    fn route(snapshot: &Snapshot, session: &mut Session, raw_head: &[u8]) -> Result<Destination, Denied> {
        let request = session.req_header();
        let raw = target::of_request_line(raw_head).ok_or(Denied::BadTarget(BadTarget::NotAPath))?;
        let host = request.headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
        let hosts = request.headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
        let target = canonical(raw, hosts, snapshot.server.target_bytes_max)?;
        if Facts::of(session).is_some_and(|connection| !connection.may_carry(target.host.name())) {
            return Err(Denied::MisdirectedRequest);
        }
        let destination = snapshot.router.find(&target, &request.method);
        let (path, host) = (target.rewritten(raw), target.host.rewritten(host));
        if path.is_some() || host.is_some() {
            let request = session.req_header_mut();
            let rewritten = path.map_or(Ok(()), |path| request.set_raw_path(path.as_bytes()));
            let renamed = host.map_or(Ok(()), |host| request.insert_header(HOST, host));
            rewritten.and(renamed).map_err(|_| Denied::Internal)?;
        }
        destination
    }

    /// Ends a WebSocket when its caller's token expires or session ends, when the token's key or app is taken out of the config,
    /// when the process ends, and where the route asks for it also when the session may have ended unheard.
    fn judge(&self, context: &Context) -> Judge {
        let (live, leaving) = (self.live.clone(), Arc::clone(&self.leaving));
        let (snapshot, permit) = (Arc::clone(&context.snapshot), context.permit.clone());
        Judge::new(move || {
            if leaving.load(Ordering::Relaxed) {
                return Some(Close::GoingAway);
            }
            let permit = permit.as_ref()?;
            let caller = permit.caller()?;
            if !live.snapshot().verifier.may_still_go_on(caller) {
                return Some(Close::NoLongerAllowed);
            }
            let route = &snapshot.routes[permit.route().0];
            denies_now(route, &snapshot.lasting.revocations).then_some(Close::TryAgainLater)
        })
    }
}

fn count_auth(metrics: &Metrics, caller: &Result<Option<Authenticated>, Denied>) {
    match caller {
        Ok(Some(_)) => metrics.auth_passed(),
        Ok(None) => metrics.auth_anonymous(),
        Err(denied) => metrics.auth(denied.code()),
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    /// Boxed: pingora copies the context from future to future, and the future that holds it to the heap.
    type CTX = Box<Context>;

    fn new_ctx(&self) -> Box<Context> {
        Box::new(Context::new(self.live.snapshot(), self.request_ids.next(), self.in_flight.begin()))
    }

    /// No compression module: bodies pass as they are.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(
        &self,
        session: &mut Session,
        context: &mut Box<Context>,
    ) -> pingora::Result<bool> {
        if let Some(connection) = Facts::of(session) {
            context.under_way = connection.begin();
            if context.under_way.is_none() {
                // It was idle, and another needed its room: this request came too late.
                return Err(Error::new_down(ErrorType::ConnectionClosed));
            }
        }
        self.greet(session, context);
        match self.decide(session, context) {
            Ok(Way::Onward) => Ok(false),
            // Boxed, so that the way of a proxied request does not carry their size.
            Ok(Way::Endpoint(endpoint)) => {
                connection::limited_elsewhere();
                Box::pin(endpoints::answer(endpoint, session, context)).await?;
                Ok(true)
            }
            Err(denied) => {
                Box::pin(reply::refuse(session, &denied, context.request_id.as_str())).await?;
                context.denied = Some(denied);
                Ok(true)
            }
        }
    }

    /// Step 4. Runs again on a retry.
    async fn upstream_peer(
        &self,
        _session: &mut Session,
        context: &mut Box<Context>,
    ) -> pingora::Result<Box<HttpPeer>> {
        let picked = match &context.permit {
            Some(permit) => context.snapshot.upstreams.pick(permit, context.tries),
            None => Err(Denied::Internal),
        };
        let peer = picked.map_err(|denied| {
            context.denied = Some(denied);
            Error::new_in(ErrorType::new("refused"))
        })?;
        context.tries += 1;
        // Whoever is asked next gets the body from its beginning.
        context.body_bytes = 0;
        let connect = peer.connect(context.websocket);
        context.upstream = Some(peer);
        Ok(connect)
    }

    /// Step 5. Runs again on a retry, over a fresh copy of the request.
    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Box<Context>,
    ) -> pingora::Result<()> {
        let snapshot = &*context.snapshot;
        let Some(permit) = &context.permit else {
            return Error::e_explain(ErrorType::InternalError, "no permit");
        };
        if let Some(target) = outbound::target(snapshot, permit, request) {
            request.set_raw_path(target.as_bytes())?;
        }
        let host = request.headers.get(HOST).cloned();
        if let Some(host) = snapshot.upstreams.host(permit) {
            request.insert_header(HOST, host)?;
        }
        if !snapshot.routes[permit.route().0].forward_token {
            remove_token(request, &snapshot.token_sources);
        }
        let from = Provenance {
            request_id: context.request_id.header_value(),
            client: context.client,
            peer: context.peer,
            proto: context.proto,
            host,
        };
        let assertion = snapshot.assertion(permit);
        snapshot.injector.request(request, permit.caller().map(|caller| &caller.derived), assertion, from);
        context.upstream_started = Some(Instant::now());
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        context: &mut Box<Context>,
    ) -> pingora::Result<()> {
        connection::piece_came(end_of_stream);
        if end_of_stream && body.as_ref().is_some_and(Bytes::is_empty) {
            // pingora would end a chunked body here, and once more behind it: a second end would be what the service reads
            // as the start of the next request. HTTP/2 clients do end a body with an empty piece.
            *body = None;
        }
        let (Some(body), Some(permit), false) = (body, &context.permit, context.websocket) else {
            return Ok(());
        };
        context.body_bytes += body.len() as u64;
        if context.body_bytes > context.snapshot.routes[permit.route().0].body_bytes_max {
            // A chunked body tells its length only by arriving. The service sees an aborted request.
            context.denied = Some(Denied::BodyTooLarge);
            return Err(Error::new_down(ErrorType::new("refused")));
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Box<Context>,
    ) -> pingora::Result<()> {
        if response.status.as_u16() == websocket::SWITCHING_PROTOCOLS {
            let asked = &session.req_header().headers;
            if !context.websocket || !websocket::is_accepted(asked, &response.headers) {
                return Err(Error::new_up(ErrorType::InvalidHTTPHeader));
            }
            Front::tunnel_opens(session, self.judge(context));
        } else if context.websocket {
            // The client may have sent frames already, taking the answer for granted.
            session.set_keepalive(None);
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Box<Context>,
    ) -> pingora::Result<()> {
        if let (Some(started), Some(permit), None) =
            (context.upstream_started, &context.permit, context.upstream_took)
        {
            let took = started.elapsed();
            context.upstream_took = Some(took);
            context.snapshot.slots.upstream(permit.upstream(), took);
        }
        context.snapshot.injector.response(response);
        renewed::renew(response, context)?;
        response.insert_header("X-Request-Id", context.request_id.header_value())
    }

    /// The server took no connection: nothing was sent, so another may be asked.
    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Box<Context>,
        mut error: Box<Error>,
    ) -> Box<Error> {
        if let (Some(peer), Some(permit)) = (&context.upstream, &context.permit) {
            context.snapshot.upstreams.rest(peer);
            error.set_retry(context.snapshot.upstreams.may_retry(permit, context.tries));
        }
        error
    }

    /// The server took the connection and then failed. A kept-alive connection may just have been closed by its other end:
    /// what changes nothing there (RFC 9110 §9.2.1) is asked once more. Anything else may have been done already, and an
    /// answer that has begun would go on with the beginning of another. Nobody asks for a client that has failed itself.
    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        context: &mut Box<Context>,
        client_reused: bool,
    ) -> Box<Error> {
        let broke = matches!(
            error.etype(),
            ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError
        );
        let again = broke
            && *error.esource() == ErrorSource::Upstream
            && client_reused
            && !context.asked_again
            && session.req_header().method.is_safe()
            && !failure::answer_has_begun(session)
            && !session.as_ref().retry_buffer_truncated();
        context.asked_again |= again;
        error.set_retry(again);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Box<Context>,
    ) -> FailToProxy {
        let nothing_to_say = FailToProxy { error_code: 0, can_reuse_downstream: false };
        let denied = match context.denied.take() {
            Some(denied) => Some(denied),
            None if *error.esource() == ErrorSource::Downstream => {
                Front::refusal(session).map(Denied::from).or_else(|| failure::client_mistake(error))
            }
            None if connection::stalls_since(context.snapshot.server.read_timeout) => {
                Some(Denied::BodyTimeout)
            }
            None => Some(failure::upstream_failure(error, context)),
        };
        let Some(denied) = denied.filter(|_| !failure::answer_has_begun(session)) else {
            return nothing_to_say;
        };
        let status = denied.status().as_u16();
        // What is left of the request's body may still come: the connection ends here.
        session.set_keepalive(None);
        let sent = Box::pin(reply::refuse(session, &denied, context.request_id.as_str())).await;
        context.denied = Some(denied);
        if sent.is_ok() {
            FailToProxy { error_code: status, can_reuse_downstream: false }
        } else {
            nothing_to_say
        }
    }

    /// Step 6.
    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Box<Context>) {
        Front::request_is_over(session);
        let snapshot = &*context.snapshot;
        let slot = log::slot(context.destination, snapshot.routes.len());
        let outcome = log::outcome(context, error.is_some());
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        snapshot.slots.request(slot, status, outcome);
        if let Some(access_log) = &self.access_log {
            access_log.write(&Line {
                at_millis: snapshot.lasting.clock.unix_millis(),
                session,
                context,
                route: snapshot.route_name(slot),
                outcome,
                status,
                took: context.started.elapsed(),
            });
        }
    }

    /// pingora's own lines quote requests. What failed is said by `upstream_failure` and by the access log.
    fn suppress_error_log(&self, _session: &Session, _context: &Box<Context>, _error: &Error) -> bool {
        true
    }

    fn request_summary(&self, _session: &Session, context: &Box<Context>) -> String {
        context.request_id.as_str().to_owned()
    }
}
