//! What was measured, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::goals::{Budget, GOALS, Goal, Unit};

/// A figure, as the process that measured it says it: one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The part.
    pub part: String,
    /// The key of its goal.
    pub key: String,
    /// The figure, in the goal's unit.
    pub figure: f64,
    /// How it was taken: of how many, with what.
    pub how: String,
}

/// Says figures on standard output.
#[derive(Debug)]
pub struct Recorder {
    part: String,
}

impl Recorder {
    /// For a part.
    #[must_use]
    pub fn of(part: &str) -> Self {
        Self { part: part.to_owned() }
    }

    /// Says a figure.
    ///
    /// # Panics
    /// When there is no goal with that key: it would not be shown.
    #[expect(clippy::print_stdout, reason = "whoever started this process reads it there")]
    pub fn say(&self, key: &str, figure: f64, how: impl Into<String>) {
        let is_known = GOALS.iter().any(|goal| goal.part == self.part && goal.key == key);
        assert!(is_known, "{} has no goal {key}", self.part);
        let line = Figure { part: self.part.clone(), key: key.to_owned(), figure, how: how.into() };
        println!("{}", serde_json::to_string(&line).expect("a figure is plain data"));
    }
}

/// What became of a goal.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The figure is within its budget.
    Met,
    /// It is not.
    NotMet,
    /// It has no budget.
    NoBudget,
    /// There is no figure.
    NotTaken {
        /// Why.
        why: String,
    },
}

/// A line of the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What it is about.
    #[serde(flatten)]
    pub goal: Goal,
    /// What was measured.
    pub figure: Option<f64>,
    /// How.
    pub how: Option<String>,
    /// What that means.
    pub verdict: Verdict,
}

/// All lines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// How many processors this machine has.
    pub processors: usize,
    /// One for each goal of the parts that were asked for.
    pub rows: Vec<Row>,
}

impl Report {
    /// Puts figures next to the goals of the parts that were asked for. `failed` says of a part why
    /// it did not come to its end.
    #[must_use]
    pub fn of(parts: &[&str], figures: &[Figure], failed: &BTreeMap<String, String>) -> Self {
        let goals = GOALS.iter().filter(|goal| parts.contains(&goal.part));
        let rows = goals.map(|goal| {
            let taken = figures.iter().find(|f| f.part == goal.part && f.key == goal.key);
            let Some(taken) = taken else {
                let why = failed.get(goal.part).cloned();
                let why = why.unwrap_or_else(|| "the part did not say it".to_owned());
                return Row {
                    goal: *goal,
                    figure: None,
                    how: None,
                    verdict: Verdict::NotTaken { why },
                };
            };
            let verdict = match goal.budget {
                None => Verdict::NoBudget,
                Some(budget) if budget.is_met_by(taken.figure) => Verdict::Met,
                Some(_) => Verdict::NotMet,
            };
            Row { goal: *goal, figure: Some(taken.figure), how: Some(taken.how.clone()), verdict }
        });
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        Self { processors, rows: rows.collect() }
    }

    /// Whether something could not be measured.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.rows.iter().any(|row| matches!(row.verdict, Verdict::NotTaken { .. }))
    }

    /// The report for people: a table, and below it how each figure was taken.
    #[must_use]
    pub fn table(&self) -> String {
        let heading = ["what", "figure", "budget", "verdict"].map(str::to_owned);
        let lines: Vec<[String; 4]> =
            std::iter::once(heading).chain(self.rows.iter().map(cells)).collect();
        let width = |column: usize| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
        };
        let [what, figure, budget] = [0, 1, 2].map(width);
        let mut table = String::new();
        for [a, b, c, d] in &lines {
            let line = format!("{a:what$}  {b:>figure$}  {c:>budget$}  {d}");
            table.push_str(line.trim_end());
            table.push('\n');
        }
        table.push('\n');
        for row in &self.rows {
            if let Some(how) = &row.how {
                let _written = writeln!(table, "{}: {how}", row.goal.what);
            }
        }
        table
    }
}

fn cells(row: &Row) -> [String; 4] {
    let unit = row.goal.unit;
    let figure = row.figure.map_or_else(|| "–".to_owned(), |figure| shown(figure, unit));
    let budget = match row.goal.budget {
        None => String::new(),
        Some(Budget::AtMost(most)) => format!("≤ {}", shown(most, unit)),
        Some(Budget::AtLeast(least)) => format!("≥ {}", shown(least, unit)),
    };
    let verdict = match &row.verdict {
        Verdict::Met => format!("met{}", share(row)),
        Verdict::NotMet => format!("not met{}", share(row)),
        Verdict::NoBudget => String::new(),
        Verdict::NotTaken { why } => format!("not taken: {why}"),
    };
    [row.goal.what.to_owned(), figure, budget, verdict]
}

/// How much of its budget a figure takes, where that says something.
fn share(row: &Row) -> String {
    let (Some(figure), Some(budget)) = (row.figure, row.goal.budget) else { return String::new() };
    let (Budget::AtMost(bound) | Budget::AtLeast(bound)) = budget;
    if bound == 0.0 { String::new() } else { format!(" ({:.2} × the budget)", figure / bound) }
}

fn shown(figure: f64, unit: Unit) -> String {
    match unit {
        Unit::PerSecond => format!("{figure:.0} /s"),
        Unit::Milliseconds if figure < 10.0 => format!("{figure:.2} ms"),
        Unit::Milliseconds => format!("{figure:.0} ms"),
        Unit::Seconds => format!("{figure:.2} s"),
        Unit::Mebibytes => format!("{figure:.0} MiB"),
        Unit::Ratio => format!("{figure:.2} ×"),
        Unit::Count => format!("{figure:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Figure, Report, Verdict};

    fn figure(key: &str, figure: f64) -> Figure {
        Figure { part: "burst".to_owned(), key: key.to_owned(), figure, how: "once".to_owned() }
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        let failed = BTreeMap::from([("burst".to_owned(), "no members".to_owned())]);
        let figures = [figure("hub", 9.0), figure("bare", 5.0)];
        let report = Report::of(&["burst"], &figures, &failed);
        assert!(report.is_incomplete());
        let verdict = |key: &str| {
            let row = report.rows.iter().find(|row| row.goal.key == key);
            row.map(|row| row.verdict.clone()).unwrap()
        };
        assert_eq!(verdict("hub"), Verdict::NoBudget);
        assert_eq!(verdict("ratio"), Verdict::NotTaken { why: "no members".to_owned() });
        assert!(report.table().contains("not taken: no members"));
    }

    #[test]
    fn a_figure_is_held_against_its_budget() {
        let figures = ["hub", "bare", "available"].map(|key| figure(key, 1.0));
        let with = |ratio: f64| {
            let mut figures = figures.to_vec();
            figures.push(figure("ratio", ratio));
            let report = Report::of(&["burst"], &figures, &BTreeMap::new());
            assert!(!report.is_incomplete());
            report.table()
        };
        assert!(with(1.2).contains("1.20 ×  ≤ 1.50 ×  met (0.80 × the budget)"));
        assert!(with(1.8).contains("1.80 ×  ≤ 1.50 ×  not met (1.20 × the budget)"));
    }
}
