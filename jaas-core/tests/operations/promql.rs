//! The part of PromQL that the dashboard and the rules are written in. What is outside of it is refused, also where
//! Prometheus would take it.

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    /// A number.
    Number(f64),
    /// The series of a metric, over a range if it says so.
    Series { metric: String, matchers: Vec<Matcher>, is_range: bool },
    /// An aggregation, such as `sum by (reason) (…)`.
    Aggregate { by: Vec<String>, of: Box<Expr> },
    /// A function and its arguments.
    Call { name: String, arguments: Vec<Expr> },
    /// Two sides and what is between them.
    Binary { operator: String, left: Box<Expr>, right: Box<Expr> },
}

/// What a label must be: `reply="stored"`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matcher {
    pub(crate) label: String,
    pub(crate) operator: String,
    pub(crate) value: String,
}

/// Binary operators by how tightly they bind, the loosest first.
const OPERATORS: &[&[&str]] =
    &[&["or"], &["and", "unless"], &["==", "!=", "<=", ">=", "<", ">"], &["+", "-"], &["*", "/", "%"]];
const AGGREGATIONS: &[&str] = &["sum", "max", "min", "avg", "count"];
/// Functions, and whether each of their arguments is a range.
const FUNCTIONS: &[(&str, &[bool])] = &[
    ("rate", &[true]),
    ("increase", &[true]),
    ("delta", &[true]),
    ("histogram_quantile", &[false, false]),
    ("absent", &[false]),
];

/// Reads an expression.
pub(crate) fn parse(text: &str) -> Result<Expr, String> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0 };
    let expr = parser.binary(0).map_err(|error| format!("{error} in {text}"))?;
    match parser.peek() {
        None if !is_range(&expr) => Ok(expr),
        None => Err(format!("a range is no answer: {text}")),
        Some(token) => Err(format!("unexpected {token} in {text}")),
    }
}

/// Whether this is so long a time as Prometheus writes it: `15m`.
pub(crate) fn is_duration(text: &str) -> bool {
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
    digits.len() < text.len() && ["ms", "s", "m", "h", "d", "w"].contains(&digits)
}

fn is_range(expr: &Expr) -> bool {
    matches!(expr, Expr::Series { is_range: true, .. })
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '"' => rest[1..].find('"').ok_or_else(|| format!("a string does not end in {text}"))? + 2,
            c if c.is_ascii_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_ascii_alphanumeric() && !"_:.".contains(c)).unwrap_or(rest.len())
            }
            _ if ["=~", "!~", "==", "!=", "<=", ">="].iter().any(|two| rest.starts_with(two)) => 2,
            c if "(){}[],=<>+-*/%".contains(c) => 1,
            other => return Err(format!("{other:?} has no meaning in {text}")),
        };
        tokens.push(rest[..len].to_owned());
        rest = rest[len..].trim_start();
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<String>,
    next: usize,
}

impl Parser {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.next).map(String::as_str)
    }

    fn take(&mut self) -> Result<String, String> {
        let token = self.tokens.get(self.next).cloned().ok_or("it ends too early")?;
        self.next += 1;
        Ok(token)
    }

    fn accept(&mut self, token: &str) -> bool {
        let is_next = self.peek() == Some(token);
        self.next += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        match self.take()? {
            found if found == token => Ok(()),
            found => Err(format!("{found} where {token} was expected")),
        }
    }

    fn name(&mut self) -> Result<String, String> {
        let name = self.take()?;
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !name.contains('.');
        if is_name { Ok(name) } else { Err(format!("{name} where a name was expected")) }
    }

    /// What stands between two brackets, with commas.
    fn list<T>(
        &mut self,
        close: &str,
        item: impl Fn(&mut Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let mut items = Vec::new();
        while !self.accept(close) {
            if !items.is_empty() {
                self.expect(",")?;
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn binary(&mut self, level: usize) -> Result<Expr, String> {
        let Some(operators) = OPERATORS.get(level) else { return self.operand() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.peek().filter(|token| operators.contains(token)).map(str::to_owned) {
            self.next += 1;
            let right = self.binary(level + 1)?;
            if is_range(&left) || is_range(&right) {
                return Err(format!("a range beside {operator}"));
            }
            left = Expr::Binary { operator, left: Box::new(left), right: Box::new(right) };
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Expr, String> {
        if self.accept("(") {
            let inner = self.binary(0)?;
            self.expect(")")?;
            return Ok(inner);
        }
        let negative = self.accept("-");
        if let Some(number) = self.peek().and_then(|token| token.parse::<f64>().ok()) {
            self.next += 1;
            return Ok(Expr::Number(if negative { -number } else { number }));
        }
        let name = self.name()?;
        if AGGREGATIONS.contains(&&*name) {
            let by = if self.accept("by") {
                self.expect("(")?;
                self.list(")", Self::name)?
            } else {
                Vec::new()
            };
            self.expect("(")?;
            let of = self.binary(0)?;
            self.expect(")")?;
            return if is_range(&of) {
                Err(format!("{name} of a range"))
            } else {
                Ok(Expr::Aggregate { by, of: Box::new(of) })
            };
        }
        if self.accept("(") {
            let arguments = self.list(")", |parser| parser.binary(0))?;
            let (_, ranges) =
                FUNCTIONS.iter().find(|(known, _)| *known == name).ok_or(format!("no function {name}"))?;
            let given: Vec<bool> = arguments.iter().map(is_range).collect();
            return if given == *ranges {
                Ok(Expr::Call { name, arguments })
            } else {
                Err(format!("wrong arguments of {name}"))
            };
        }
        self.series(name)
    }

    fn series(&mut self, metric: String) -> Result<Expr, String> {
        let matchers = if self.accept("{") { self.list("}", Self::matcher)? } else { Vec::new() };
        let is_range = self.accept("[");
        if is_range {
            let range = self.take()?;
            if !is_duration(&range) {
                return Err(format!("{range} is no duration"));
            }
            self.expect("]")?;
        }
        Ok(Expr::Series { metric, matchers, is_range })
    }

    fn matcher(&mut self) -> Result<Matcher, String> {
        let (label, operator, value) = (self.name()?, self.take()?, self.take()?);
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        match value {
            Some(value) if ["=", "!=", "=~", "!~"].contains(&&*operator) => {
                Ok(Matcher { label, operator, value: value.to_owned() })
            }
            _ => Err(format!("{label} {operator} is no matcher")),
        }
    }
}

#[test]
fn what_prometheus_would_not_take_is_refused() {
    for wrong in [
        "",
        "sum(",
        "sum by reason (a)",
        "rate(a)",
        "sum(a[5m])",
        "a[5m]",
        "a[five]",
        "a{b}",
        "a{b=c}",
        "a{b=\"c\"",
        "a b",
        "a > ",
        "nonsense(a)",
        "histogram_quantile(0.5)",
        "rate(a[$__rate_interval])",
    ] {
        assert!(parse(wrong).is_err(), "{wrong} was taken");
    }
}

#[test]
fn operators_bind_as_in_prometheus() {
    let series = |metric: &str| {
        Box::new(Expr::Series { metric: metric.to_owned(), matchers: Vec::new(), is_range: false })
    };
    let binary = |operator: &str, left, right| Expr::Binary { operator: operator.to_owned(), left, right };
    let compared = binary(">", Box::new(binary("/", series("a"), series("b"))), Box::new(Expr::Number(-0.5)));
    let expected = binary("unless", Box::new(compared), series("c"));
    assert_eq!(parse("a / b > -0.5 unless c"), Ok(expected));
}
