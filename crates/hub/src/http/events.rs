//! The record: events of all aggregates, and the history of one.

use actix_web::{HttpRequest, HttpResponse, get, web};
use api::http::{CloudEvent, EventsPage, RecordedEvent};
use events::{AggregateId, Envelope, Position, Timestamp, envelope};
use projections::{EVENTS_PER_PAGE_MAX, EventFilter, Recorded};
use serde::Deserialize;
use utoipa::IntoParams;

use super::error::Problem;
use super::follow;
use super::guard::peer_of;
use super::state::HttpState;

/// How many events a page has when nobody says.
const EVENTS_PER_PAGE: usize = 100;

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// The aggregate's id starts with this: `placement/ns.team-a/`.
    aggregate: Option<String>,
    /// The event's type: `PlacementScheduled`.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// Who caused it: `claimed:kubectl`, `user:alice`, `member:eu-1`, `system`.
    principal: Option<String>,
    /// What started it all.
    correlation: Option<String>,
    /// Recorded at this time or later (RFC 3339).
    since: Option<String>,
    /// Recorded at this time or earlier (RFC 3339).
    until: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// How many, at most 1,000; 100 when absent.
    limit: Option<usize>,
    /// Streams what comes from now on (with `since`: from then on) as lines of JSON, each a
    /// RecordedEvent. Empty lines mean that nothing has come for a while.
    #[serde(default)]
    follow: bool,
}

/// Events of all aggregates, in order of time.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "record", params(EventsQuery),
    responses(
        (status = 200, description = "A page of events; with `follow`, lines of JSON without end",
         body = EventsPage),
        (status = 400, description = "A parameter cannot be read", body = api::http::ErrorBody),
        (status = 429, description = "There are too many followers", body = api::http::ErrorBody),
        (status = 503, description = "This hub keeps no history", body = api::http::ErrorBody),
    ),
)]
#[get("/api/v1/events")]
pub(super) async fn list_events(
    request: HttpRequest,
    state: web::Data<HttpState>,
    query: web::Query<EventsQuery>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let filter = query.filter()?;
    if query.follow {
        let place = state.followers.take(peer_of(&request))?;
        return follow::response(state, filter, place).await;
    }
    let after = query.after.as_deref().map(parse::<Position>).transpose()?;
    let limit = query.limit.unwrap_or(EVENTS_PER_PAGE).clamp(1, EVENTS_PER_PAGE_MAX);
    let page = state.query(move |queries| queries.events(&filter, after, limit)).await?;
    let events = page.items.iter().map(recorded).collect::<Result<_, _>>()?;
    let next = page.next.map(|position| position.to_string());
    Ok(HttpResponse::Ok().json(EventsPage { events, next }))
}

/// From where on, and how much.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// The `next` of the page before: the number of an event within the aggregate, from 1.
    after: Option<u64>,
    /// How many, at most 1,000; 100 when absent.
    limit: Option<usize>,
}

/// Everything that happened to one aggregate, from its first event on.
#[utoipa::path(
    get, path = "/api/v1/history/{aggregate}", tag = "record",
    params(
        ("aggregate" = String, Path,
         description = "`cluster/eu-1`, `placement/cluster/web`, `placement/ns.team-a/web`, `fleet`"),
        HistoryQuery,
    ),
    responses(
        (status = 200, description = "A page of events", body = EventsPage),
        (status = 404, description = "Nothing happened to it", body = api::http::ErrorBody),
    ),
)]
#[get("/api/v1/history/{aggregate:.*}")]
pub(super) async fn history(
    state: web::Data<HttpState>,
    aggregate: web::Path<String>,
    query: web::Query<HistoryQuery>,
) -> Result<web::Json<EventsPage>, Problem> {
    let aggregate: AggregateId = parse(&aggregate)?;
    let name = aggregate.to_string();
    let from = query.after.unwrap_or(1);
    let limit = query.limit.unwrap_or(EVENTS_PER_PAGE).clamp(1, EVENTS_PER_PAGE_MAX);
    let page = state.query(move |queries| queries.history(&aggregate, from, limit)).await?;
    if page.items.is_empty() && from == 1 {
        let hint = "see what there is with: taffrail status";
        return Err(Problem::not_found(format!("nothing is on record about {name}"), hint));
    }
    let events = page.items.iter().map(recorded).collect::<Result<_, _>>()?;
    Ok(web::Json(EventsPage { events, next: page.next.map(|number| number.to_string()) }))
}

impl EventsQuery {
    fn filter(&self) -> Result<EventFilter, Problem> {
        let time = |text: &Option<String>| {
            let parsed = text.as_deref().map(|text| {
                text.parse::<Timestamp>().map_err(|error| {
                    let hint = "times are written like 2026-01-31T14:03:00Z";
                    Problem::bad_request(error.to_string(), hint)
                })
            });
            parsed.transpose()
        };
        let correlation = self.correlation.as_deref().map(|text| {
            let quoted = serde_json::Value::String(text.to_owned());
            serde_json::from_value(quoted).map_err(|_| {
                let hint = "take it from the correlationid of an event";
                Problem::bad_request(format!("{text:?} is not a correlation id"), hint)
            })
        });
        Ok(EventFilter {
            aggregate_prefix: self.aggregate.clone(),
            event_type: self.event_type.clone(),
            principal: self.principal.as_deref().map(parse).transpose()?,
            correlation: correlation.transpose()?,
            since: time(&self.since)?,
            until: time(&self.until)?,
        })
    }
}

fn parse<T: std::str::FromStr<Err = events::InvalidId>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: events::InvalidId| {
        let hint = "such as cluster/eu-1, placement/cluster/web, user:alice, 7:1042";
        Problem::bad_request(error.to_string(), hint)
    })
}

/// An event as it is shown.
pub(super) fn recorded(recorded: &Recorded) -> Result<RecordedEvent, Problem> {
    shown(recorded.position, &recorded.envelope)
}

pub(super) fn shown(position: Position, envelope: &Envelope) -> Result<RecordedEvent, Problem> {
    let event = cloud_event(envelope).map_err(|error| Problem::internal(error.to_string()))?;
    Ok(RecordedEvent { position: position.to_string(), event })
}

fn cloud_event(envelope: &Envelope) -> Result<CloudEvent, Box<dyn std::error::Error>> {
    let event_type = envelope.event.event_type();
    let data = envelope.event.to_data()?;
    Ok(CloudEvent {
        specversion: "1.0".to_owned(),
        id: envelope.id.to_string(),
        source: envelope::SOURCE.to_owned(),
        event_type: format!("{}{}", envelope::TYPE_PREFIX, event_type.name),
        subject: envelope.aggregate.to_string(),
        time: envelope.time.to_string(),
        schemaversion: event_type.version,
        sequence: envelope.sequence.0,
        aggregatesequence: envelope.aggregate_sequence,
        principal: envelope.principal.to_string(),
        commandid: envelope.command.to_string(),
        decisionindex: envelope.index,
        causationid: envelope.causation.map(|id| id.to_string()),
        correlationid: envelope.correlation.to_string(),
        traceparent: envelope.traceparent.clone(),
        data: serde_json::from_str(data.get())?,
    })
}
