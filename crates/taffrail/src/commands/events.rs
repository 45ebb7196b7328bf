//! `taffrail events`: what happened.

use anyhow::Result;
use api::http::{EventsPage, RecordedEvent};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::cli::Global;
use crate::client::HubClient;
use crate::names;
use crate::output::{self, Format, Table, clock};

/// Show what happened, in order of time.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show what happens from now on, until Ctrl-C (with --since: from then on)
    #[arg(short, long)]
    follow: bool,
    /// Only events of this type, such as PlacementScheduled
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only what happened to this: cluster/eu-1, placement/web, or the beginning of an id
    #[arg(long, value_name = "NAME")]
    aggregate: Option<String>,
    /// Only what this one caused: claimed:MANAGER, user:NAME, member:NAME or system
    #[arg(long, value_name = "WHO")]
    principal: Option<String>,
    /// Only what this input set in motion: the correlationid of an event
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// Only what happened since: 10m, or 2026-01-31T14:03:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what happened until: 10m (ago), or 2026-01-31T14:03:00Z
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 200, conflicts_with = "follow")]
    limit: usize,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<()> {
    let client = HubClient::new(&global.server)?;
    let mut query = args.query(Timestamp::now())?;
    if args.follow {
        query.push(("follow", "true".to_owned()));
        let show = |event: RecordedEvent| {
            output::show_item(global.output, &event, || line(&event))?;
            Ok(())
        };
        return client.follow("/api/v1/events", &query, show).await;
    }
    let page = collect(&client, "/api/v1/events", &query, args.limit).await?;
    show(global.output, &page)
}

impl Args {
    fn query(&self, now: Timestamp) -> Result<Vec<(&'static str, String)>> {
        // What is no name is taken as the beginning of one.
        let aggregate = self
            .aggregate
            .as_ref()
            .map(|text| names::aggregate(text).map_or_else(|_| text.clone(), |id| id.to_string()));
        let time = |text: &Option<String>| {
            let time = text.as_deref().map(|text| names::since(text, now));
            time.transpose().map(|time| time.map(|time| time.to_string()))
        };
        let parameters = [
            ("aggregate", aggregate),
            ("type", self.event_type.clone()),
            ("principal", self.principal.clone()),
            ("correlation", self.correlation.clone()),
            ("since", time(&self.since)?),
            ("until", time(&self.until)?),
        ];
        Ok(parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }
}

/// Asks for pages until there are no more, or enough.
pub(super) async fn collect(
    client: &HubClient,
    path: &str,
    query: &[(&'static str, String)],
    limit: usize,
) -> Result<EventsPage> {
    let mut all = EventsPage::default();
    loop {
        let missing = limit - all.events.len();
        let mut query = query.to_vec();
        query.push(("limit", missing.min(1_000).to_string()));
        query.extend(all.next.take().map(|next| ("after", next)));
        let page: EventsPage = client.get(path, &query).await?;
        all.events.extend(page.events);
        all.next = page.next;
        if all.next.is_none() || all.events.len() >= limit {
            return Ok(all);
        }
    }
}

pub(super) fn show(format: Format, page: &EventsPage) -> Result<()> {
    output::show(format, page, || text(page))?;
    Ok(())
}

fn text(page: &EventsPage) -> String {
    if page.events.is_empty() {
        return "Nothing happened that matches.\n".to_owned();
    }
    let mut table = Table::new(["TIME", "POSITION", "EVENT", "OF", "BY", "WHAT"]);
    for RecordedEvent { position, event } in &page.events {
        table.row([
            clock(&event.time),
            position.clone(),
            event.name().to_owned(),
            event.subject.clone(),
            event.principal.clone(),
            what(&event.data),
        ]);
    }
    let more = if page.next.is_some() { "There is more: see --limit and --since.\n" } else { "" };
    format!("{table}{more}")
}

/// An event in one line, for a list without an end.
fn line(recorded: &RecordedEvent) -> String {
    let event = &recorded.event;
    let line = format!(
        "{}  {:<8}  {:<26}  {}  {}  {}",
        clock(&event.time),
        recorded.position,
        event.name(),
        event.subject,
        event.principal,
        what(&event.data)
    );
    format!("{}\n", line.trim_end())
}

/// How long a summary may be: what fits beside the rest on a wide terminal.
const WHAT_CHARS_MAX: usize = 100;

/// What happened, in short: the message if there is one, the first object that something is said
/// about, else the small fields of the payload.
fn what(data: &Value) -> String {
    let Some(fields) = data.as_object() else { return String::new() };
    let message = fields.get("message").and_then(Value::as_str).filter(|text| !text.is_empty());
    let text = match (message, fields.values().find_map(first_object)) {
        (Some(message), _) => message.to_owned(),
        (None, _) if fields.contains_key("notes") => notes(fields),
        (None, Some(first)) => first,
        (None, None) => {
            let small = fields
                .iter()
                .filter_map(|(name, value)| small(value).map(|value| format!("{name}={value}")));
            small.collect::<Vec<_>>().join(" ")
        }
    };
    match text.char_indices().nth(WHAT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The first of some notes about objects, and how many more there are.
fn notes(fields: &Map<String, Value>) -> String {
    let notes = fields.get("notes").and_then(Value::as_array).map(Vec::as_slice);
    let count = notes.map_or(0, <[Value]>::len) as u64;
    let beyond = fields.get("more").and_then(Value::as_u64).unwrap_or_default();
    let Some(first) = notes.and_then(<[Value]>::first) else { return String::new() };
    let object = &first["object"];
    let name = |field: &str| object[field].as_str().unwrap_or_default();
    let at = if name("namespace").is_empty() { "" } else { "/" };
    let note = &first["note"];
    let with_details = |(kind, details): (&String, &Value)| {
        let details = details.as_object().into_iter().flat_map(Map::values);
        let details: Vec<&str> = details.filter_map(Value::as_str).collect();
        format!("{kind}: {}", details.join(" "))
    };
    let what = match note.as_object() {
        Some(kind) => kind.iter().next().map(with_details),
        None if note == "Finished" => {
            Some("is gone, and was finished or may have been: not made again".to_owned())
        }
        None => note.as_str().map(str::to_owned),
    };
    let more = match (count + beyond).saturating_sub(1) {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let kind = name("kind");
    format!("{kind} {}{at}{} {}{more}", name("namespace"), name("name"), what.unwrap_or_default())
}

/// What is said about the first of several objects, and how many more there are.
fn first_object(value: &Value) -> Option<String> {
    let (first, others) = value.as_array()?.split_first()?;
    let (object, message) = (first.get("object")?, first.get("message")?.as_str()?);
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let name = match text(object, "namespace") {
        namespace if namespace.is_empty() => text(object, "name"),
        namespace => format!("{namespace}/{}", text(object, "name")),
    };
    let others = match others.len() {
        0 => String::new(),
        others => format!(" (and {others} more)"),
    };
    Some(format!("{} {name}{others}: {}", text(object, "kind"), message))
}

fn small(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => Some(format!("[{}]", items.len())),
        Value::Object(fields) if fields.is_empty() => None,
        Value::Object(_) => Some("{…}".to_owned()),
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
