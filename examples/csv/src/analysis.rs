//! The external command: writes a file of orders into its temporary folder, and looks at it a column at a time.
//!
//! It knows nothing of Windlass: it reads one line of JSON and prints lines of JSON, as `docs/commands.md` says. `analyse.py`
//! does the same in Python, down to the last digit.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use serde::Deserialize;
use serde_json::{Value, json};

/// What it reads.
#[derive(Deserialize)]
struct Input {
    rows: u64,
    /// A cell far down holds no number.
    broken: bool,
    /// How fast the file is read; 0 for as fast as it goes.
    megabytes_per_second: u64,
}

const CITIES: [&str; 12] =
    ["Lagos", "Lima", "Oslo", "Kyoto", "Porto", "Turin", "Quito", "Perth", "Busan", "Accra", "Lyon", "Malmo"];
const PRODUCTS: [&str; 8] = ["anchor", "winch", "rope", "block", "cleat", "sail", "lamp", "chart"];
/// The columns that are looked at, by their place in a row.
const COLUMNS: [(&str, usize); 5] = [("city", 1), ("product", 2), ("quantity", 3), ("price", 4), ("wait_s", 5)];
const BARS: usize = 24;

/// Does the work, and ends the process.
pub(crate) fn main() -> ! {
    let status = match analyse() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: {error}");
            1
        }
    };
    process::exit(status)
}

fn analyse() -> Result<(), Box<dyn std::error::Error>> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let input: Input = serde_json::from_str(&line)?;
    let begun = Instant::now();
    let path = env::var_os("TMPDIR").map_or_else(env::temp_dir, PathBuf::from).join("orders.csv");
    say(&json!({ "progress": 0, "text": "writing the file" }));
    let bytes = write(&path, &input)?;
    eprintln!("wrote {bytes} bytes, {} rows", input.rows);
    let mut done = 0;
    for (name, place) in COLUMNS {
        say(&json!({ "text": format!("reading {name}") }));
        let column = look(&path, name, place, &input, |read| {
            say(&json!({ "progress": [done + read, bytes * COLUMNS.len() as u64] }));
        })?;
        done += bytes;
        eprintln!("{name}: {}", column["note"].as_str().unwrap_or_default());
        say(&json!({ "progress": [done, bytes * COLUMNS.len() as u64], "partial": column }));
    }
    say(&json!({ "result": { "rows": input.rows, "bytes": bytes, "seconds": begun.elapsed().as_secs_f64() } }));
    Ok(())
}

/// Prints a line for the server. One that has gone wants none.
fn say(line: &Value) {
    if writeln!(io::stdout(), "{line}").is_err() {
        process::exit(0);
    }
}

/// Writes the same rows each time; how many bytes they are.
fn write(path: &Path, input: &Input) -> io::Result<u64> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut bytes = writeln_counted(&mut file, "order,city,product,quantity,price,wait_s")?;
    let mut seed = 42_u64;
    let mut next = || {
        // Knuth's multiplier for 64 bits, of which the upper ones are the better.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    for row in 1..=input.rows {
        let (a, b) = (next(), next());
        let city = CITIES[(a % 12).min(a / 12 % 12) as usize];
        let product = PRODUCTS[(a / 144 % 8).max(a / 1152 % 8) as usize];
        let quantity = 1 + (a / 9216 % 10) * (a / 92_160 % 10) / 12;
        let cents = 199 + (b % 1000) * (b / 1000 % 1000) / 40;
        let wait = 5 + (b / 1000 % 1000 + b / 2_000_000 % 1000) / 4;
        bytes += if input.broken && row == input.rows * 7 / 10 {
            writeln_counted(&mut file, &format!("{row},{city},{product},{quantity},n/a,{wait}"))?
        } else {
            let (whole, rest) = (cents / 100, cents % 100);
            writeln_counted(&mut file, &format!("{row},{city},{product},{quantity},{whole}.{rest:02},{wait}"))?
        };
    }
    file.flush()?;
    Ok(bytes)
}

fn writeln_counted(file: &mut impl Write, line: &str) -> io::Result<u64> {
    file.write_all(line.as_bytes())?;
    file.write_all(b"\n")?;
    Ok(line.len() as u64 + 1)
}

/// Reads the file for one column, and says now and then how many bytes it has read.
fn look(
    path: &Path,
    name: &str,
    place: usize,
    input: &Input,
    mut tell: impl FnMut(u64),
) -> Result<Value, Box<dyn std::error::Error>> {
    let mut file = BufReader::with_capacity(64 * 1024, File::open(path)?);
    let (begun, mut told) = (Instant::now(), Instant::now());
    let mut column = Column::of(name);
    let mut line = String::new();
    let (mut read, mut row) = (0, 0_u64);
    while file.by_ref().read_line(&mut line)? > 0 {
        read += line.len() as u64;
        if row > 0 {
            let cell = line.trim_end().split(',').nth(place).unwrap_or_default();
            column.take(cell).map_err(|()| format!("line {}: \"{cell}\" is no number in column {name}", row + 1))?;
        }
        row += 1;
        line.clear();
        if row.is_multiple_of(4096) {
            let due = read.checked_div(input.megabytes_per_second).map(Duration::from_micros);
            thread::sleep(due.unwrap_or_default().saturating_sub(begun.elapsed()));
            if told.elapsed() > Duration::from_millis(50) {
                told = Instant::now();
                tell(read);
            }
        }
    }
    Ok(column.told(name))
}

/// What is found out about a column.
enum Column {
    Text(Vec<(String, u64)>),
    Number { least: f64, most: f64, sum: f64, values: Vec<f64> },
}

impl Column {
    fn of(name: &str) -> Self {
        match name {
            "city" | "product" => Self::Text(Vec::new()),
            _ => Self::Number { least: f64::INFINITY, most: f64::NEG_INFINITY, sum: 0.0, values: Vec::new() },
        }
    }

    fn take(&mut self, cell: &str) -> Result<(), ()> {
        match self {
            Self::Text(values) => match values.iter_mut().find(|(value, _)| value == cell) {
                Some((_, count)) => *count += 1,
                None => values.push((cell.to_owned(), 1)),
            },
            Self::Number { least, most, sum, values } => {
                let number: f64 = cell.parse().map_err(|_| ())?;
                (*least, *most, *sum) = (least.min(number), most.max(number), *sum + number);
                values.push(number);
            }
        }
        Ok(())
    }

    fn told(self, name: &str) -> Value {
        match self {
            Self::Text(mut values) => {
                values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                let count: u64 = values.iter().map(|(_, count)| count).sum();
                let bars: Vec<_> = values.iter().map(|(_, count)| *count).collect();
                let note = match values.first() {
                    Some((value, times)) => {
                        format!("{} values; {value} most often, {} %", values.len(), times * 100 / count.max(1))
                    }
                    None => "empty".to_owned(),
                };
                json!({ "name": name, "kind": "text", "count": count, "bars": bars, "note": note })
            }
            Self::Number { least, most, sum, values } => {
                let mut bars = [0_u64; BARS];
                let width = (most - least) / BARS as f64;
                for value in &values {
                    let bar = if width > 0.0 { ((value - least) / width) as usize } else { 0 };
                    bars[bar.min(BARS - 1)] += 1;
                }
                let mean = if values.is_empty() { 0.0 } else { sum / values.len() as f64 };
                let note = format!("{least:.2} to {most:.2}, on average {mean:.2}");
                json!({ "name": name, "kind": "number", "count": values.len(), "bars": bars, "note": note })
            }
        }
    }
}
