//! The picture: time runs to the right, each mode is a lane, each ping a dot as high as it was late.
//!
//! A stall looks like a saw tooth: the ping that hit it waited for all of it, the next one a millisecond less, down
//! to the one that just missed it. Behind them the time is shaded in which not one answer came. Under each lane lie
//! the threads: which one computed or blocked, and when; in the inline lanes the teeth stand exactly on the work.
//!
//! The file is one self-contained SVG: no script, no font, no link. Colours follow the reader's light or dark setting.
//! Thousands of dots are cheap as one path of points with round ends; a circle each would be ten times the bytes.

use std::fmt::Write as _;
use std::iter;
use std::thread::ThreadId;
use std::time::Duration;

use crate::Runs;
use crate::input::Input;
use crate::load::Run;
use crate::options::Options;
use crate::report::{Health, SLOW, STALL, megabytes, pretty};
use crate::service::{Kind, Style};

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 1180.0;
/// Above the first lane: title and legend.
const HEAD: f64 = 88.0;
/// A lane's title.
const CAPTION: f64 = 26.0;
/// A lane's dots.
const PLOT: f64 = 130.0;
/// A thread under a lane.
const ROW: f64 = 7.0;
/// Between two lanes.
const GAP: f64 = 34.0;

/// So long without a single answer is a stall.
const SILENCE: Duration = Duration::from_millis(10);

/// The scale of the dots.
const LOWEST: f64 = 0.05;
const HIGHEST: f64 = 2000.0;
const GRID: [(f64, &str); 5] =
    [(0.1, "0.1 ms"), (1.0, "1 ms"), (10.0, "10 ms"), (100.0, "100 ms"), (1000.0, "1 s")];

/// Draws all runs into one SVG.
pub(crate) fn draw(options: &Options, input: &Input, runs: &Runs) -> String {
    let lanes: Vec<_> = runs.iter().map(Lane::new).collect();
    let height = HEAD + lanes.iter().map(Lane::height).sum::<f64>() + 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
         aria-labelledby=\"title about\">\n\
         <title id=\"title\">What blocking does to everybody else</title>\n\
         <desc id=\"about\">{}</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n",
        described(runs),
    );
    svg.push_str(&head(options, input));
    let mut top = HEAD;
    for lane in &lanes {
        lane.draw(top, &mut svg);
        top += lane.height();
    }
    svg.push_str("</svg>\n");
    svg
}

const STYLE: &str = "
svg{--paper:#fff;--ink:#1f2328;--faint:#6e7781;--line:#d8dee4;--good:#1a7f5a;--slow:#b7791f;--bad:#cf222e;--digest:#8250df;--page:#0969da}
@media(prefers-color-scheme:dark){svg{--paper:#0d1117;--ink:#e6edf3;--faint:#8b949e;--line:#30363d;--good:#3fb98a;--slow:#e3b341;--bad:#ff6b64;--digest:#b48efa;--page:#58a6ff}}
text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:var(--ink)}
.paper{fill:var(--paper)}.big{font-size:20px;font-weight:600}.name{font-size:15px;font-weight:600}.faint{fill:var(--faint)}
.small{font-size:11px;fill:var(--faint)}.end{text-anchor:end}.middle{text-anchor:middle}
.grid{stroke:var(--line);stroke-width:1;fill:none}
.dots{fill:none;stroke-width:2.6;stroke-linecap:round}.good{stroke:var(--good)}.slow{stroke:var(--slow)}.bad{stroke:var(--bad)}
.stems{fill:var(--bad);opacity:.14}.stall{fill:var(--bad);opacity:.16}
.digest{fill:var(--digest)}.page{fill:var(--page)}.row{fill:var(--line);opacity:.45}
.fill-good{fill:var(--good)}.fill-slow{fill:var(--slow)}.fill-bad{fill:var(--bad)}
";

/// The picture in words.
fn described(runs: &Runs) -> String {
    let lanes = runs.iter().map(|run| {
        let health = Health::of(run);
        format!(
            "{}: /health p50 {}, p99 {}, max {}",
            run.mode.title(),
            pretty(health.p50),
            pretty(health.p99),
            pretty(health.max)
        )
    });
    lanes.collect::<Vec<_>>().join("; ")
}

fn head(options: &Options, input: &Input) -> String {
    let mut svg = format!(
        "<text class=\"big\" x=\"{LEFT}\" y=\"30\">What blocking does to everybody else</text>\n\
         <text class=\"faint\" x=\"{LEFT}\" y=\"50\">One ping of /health every millisecond, timed from when it was due · \
         {} clients hash {:.1} MB a request (≈ {} ms) · {} clients wait {} ms for a slow peer</text>\n",
        options.digest_clients,
        megabytes(input.per_digest),
        options.digest_time().as_millis(),
        options.page_clients,
        options.peer_time().as_millis(),
    );
    let dots = [("good", "answered within 5 ms"), ("slow", "within 50 ms"), ("bad", "later")];
    let blocks = [
        ("stall", "no answer: the service stands still"),
        ("digest", "a thread computes"),
        ("page", "a thread blocks"),
    ];
    let mut x = LEFT;
    for (class, label) in dots {
        let _ = write!(svg, "<circle class=\"fill-{class}\" cx=\"{:.0}\" cy=\"69\" r=\"3.5\"/>", x + 5.0);
        let _ = writeln!(svg, "<text class=\"small\" x=\"{:.0}\" y=\"73\">{label}</text>", x + 14.0);
        x += 30.0 + 6.0 * label.len() as f64;
    }
    for (class, label) in blocks {
        let _ = write!(svg, "<rect class=\"{class}\" x=\"{x:.0}\" y=\"64\" width=\"14\" height=\"10\"/>");
        let _ = writeln!(svg, "<text class=\"small\" x=\"{:.0}\" y=\"73\">{label}</text>", x + 20.0);
        x += 36.0 + 6.0 * label.len() as f64;
    }
    svg
}

/// One mode in the picture.
struct Lane<'a> {
    run: &'a Run,
    /// The threads that worked, in order of their first work.
    threads: Vec<ThreadId>,
}

impl<'a> Lane<'a> {
    fn new(run: &'a Run) -> Self {
        let mut threads = Vec::new();
        for work in &run.work {
            if !threads.contains(&work.thread) {
                threads.push(work.thread);
            }
        }
        // Threads that compute first: they are the workers in the inline lanes, the pool in the other.
        threads
            .sort_by_key(|id| !run.work.iter().any(|work| work.thread == *id && work.kind == Kind::Digest));
        Self { run, threads }
    }

    fn height(&self) -> f64 {
        CAPTION + PLOT + 6.0 + ROW * self.threads.len() as f64 + GAP
    }

    fn draw(&self, top: f64, svg: &mut String) {
        self.caption(top, svg);
        let floor = top + CAPTION + PLOT;
        for (value, label) in GRID {
            let y = height_of(value, floor);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/><text class=\"small end\" x=\"{:.0}\" y=\"{:.1}\">{label}</text>",
                LEFT - 8.0,
                y + 4.0
            );
        }
        self.stalls(top + CAPTION, svg);
        self.pings(floor, svg);
        let rows = floor + 6.0;
        self.threads(rows, svg);
        self.seconds(rows + ROW * self.threads.len() as f64 + 14.0, svg);
    }

    fn caption(&self, top: f64, svg: &mut String) {
        let health = Health::of(self.run);
        let _ = writeln!(
            svg,
            "<text class=\"name\" x=\"{LEFT}\" y=\"{y:.0}\">{}</text>\
             <text class=\"end\" x=\"{RIGHT}\" y=\"{y:.0}\">/health p50 {} · p99 {} · max {} — {:.1} digests/s · {:.1} pages/s</text>",
            self.run.mode.title(),
            pretty(health.p50),
            pretty(health.p99),
            pretty(health.max),
            self.run.digests,
            self.run.pages,
            y = top + 16.0,
        );
    }

    /// Shades the time in which the service stood still.
    fn stalls(&self, top: f64, svg: &mut String) {
        for (begin, end) in stalls(self.run) {
            let (left, right) = (self.x(begin), self.x(end.min(self.run.length)));
            let _ = writeln!(
                svg,
                "<rect class=\"stall\" x=\"{left:.1}\" y=\"{top:.0}\" width=\"{:.1}\" height=\"{PLOT}\"><title>no answer for {}</title></rect>",
                (right - left).max(0.5),
                pretty(end - begin),
            );
        }
    }

    fn pings(&self, floor: f64, svg: &mut String) {
        let classes = [("good", Duration::ZERO, SLOW), ("slow", SLOW, STALL), ("bad", STALL, Duration::MAX)];
        // The highest of each pixel, as a filled shape: lines this close together would add up to a solid block.
        let mut stems = vec![0.0_f64; WIDTH as usize];
        let mut dots = String::new();
        for (class, least, below) in classes {
            let mut path = String::new();
            for ping in self.run.pings.iter().filter(|ping| (least..below).contains(&ping.took)) {
                let (x, y) = (self.x(ping.due), height_of(ping.took.as_secs_f64() * 1e3, floor));
                let _ = write!(path, "M{x:.1} {y:.1}h0");
                if ping.took >= SLOW {
                    let stem = &mut stems[x as usize];
                    *stem = stem.max(floor - y);
                }
            }
            if !path.is_empty() {
                let _ = writeln!(dots, "<path class=\"dots {class}\" d=\"{path}\"/>");
            }
        }
        let path: String = stems
            .iter()
            .enumerate()
            .filter(|(_, height)| **height > 0.0)
            .map(|(x, height)| format!("M{x} {floor:.0}v-{height:.1}h1v{height:.1}z"))
            .collect();
        if !path.is_empty() {
            let _ = writeln!(svg, "<path class=\"stems\" d=\"{path}\"/>");
        }
        svg.push_str(&dots);
    }

    fn threads(&self, top: f64, svg: &mut String) {
        for (row, thread) in self.threads.iter().enumerate() {
            let y = top + ROW * row as f64;
            let height = ROW - 1.5;
            let _ = writeln!(
                svg,
                "<rect class=\"row\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.0}\" height=\"{height}\"/>",
                RIGHT - LEFT
            );
            for work in
                self.run.work.iter().filter(|work| work.thread == *thread && work.end > self.run.start)
            {
                let begin = self.x(work.begin.saturating_duration_since(self.run.start));
                let end = self.x(work.end.saturating_duration_since(self.run.start).min(self.run.length));
                let class = match work.kind {
                    Kind::Digest => "digest",
                    Kind::Page => "page",
                };
                if end > begin {
                    let _ = writeln!(
                        svg,
                        "<rect class=\"{class}\" x=\"{begin:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height}\"/>",
                        end - begin
                    );
                }
            }
        }
        if let Some(last) = self.threads.len().checked_sub(1) {
            let y = top + ROW * last as f64 / 2.0 + 7.0;
            let owner = match self.run.mode.style() {
                Style::Inline => "workers",
                Style::Offloaded => "pools",
            };
            let _ = writeln!(
                svg,
                "<text class=\"small end\" x=\"{:.0}\" y=\"{y:.1}\">{owner}</text>",
                LEFT - 8.0
            );
        }
    }

    fn seconds(&self, y: f64, svg: &mut String) {
        let length = self.run.length.as_secs_f64();
        let step = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0]
            .into_iter()
            .find(|step| length / step <= 8.0)
            .unwrap_or(120.0);
        for tick in 0..=(length / step + 1e-9) as u32 {
            let at = f64::from(tick) * step;
            let digits = usize::from(step < 1.0);
            let _ = writeln!(
                svg,
                "<text class=\"small middle\" x=\"{:.1}\" y=\"{y:.1}\">{at:.digits$} s</text>",
                self.x(Duration::from_secs_f64(at))
            );
        }
    }

    fn x(&self, at: Duration) -> f64 {
        LEFT + (RIGHT - LEFT) * at.as_secs_f64() / self.run.length.as_secs_f64()
    }
}

/// The spans of [`SILENCE`] or longer in which not one answer came, though a ping was due every millisecond.
fn stalls(run: &Run) -> Vec<(Duration, Duration)> {
    let mut answers: Vec<_> = run.pings.iter().map(|ping| ping.due + ping.took).collect();
    answers.sort_unstable();
    let before = iter::once(Duration::ZERO).chain(answers.iter().copied());
    let gaps = before.zip(answers.iter().copied());
    gaps.filter(|(begin, end)| *begin < run.length && *end - *begin >= SILENCE).collect()
}

/// Where a latency in milliseconds lies, on a logarithmic scale over a floor.
fn height_of(ms: f64, floor: f64) -> f64 {
    let share = (ms.clamp(LOWEST, HIGHEST) / LOWEST).ln() / (HIGHEST / LOWEST).ln();
    floor - PLOT * share
}
