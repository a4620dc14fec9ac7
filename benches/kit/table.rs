//! Prints a table in columns that is also Markdown, so that it can be quoted as it is.

use std::io::Write;

/// A table under construction: the first row is the heading.
pub struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a title and the names of its columns.
    pub fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        Self { title: title.into(), rows: vec![columns.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether nothing but the heading is there.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// Prints it, unless it is empty.
    pub fn print(&self) {
        if !self.is_empty() {
            let mut out = std::io::stdout().lock();
            // A closed pipe (`compare | head`) is the reader's choice, not our failure.
            let _ = write!(out, "\n{}\n\n{}", self.title, self.render());
        }
    }

    fn render(&self) -> String {
        let columns = self.rows[0].len();
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (nth, row) in self.rows.iter().enumerate() {
            text += &line(row, &widths);
            if nth == 0 {
                let dashes = |(column, &width): (usize, &usize)| match column {
                    0 => "-".repeat(width),
                    _ => "-".repeat(width.saturating_sub(1)) + ":",
                };
                text += &line(&widths.iter().enumerate().map(dashes).collect::<Vec<_>>(), &widths);
            }
        }
        text
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut text = String::from("|");
    for (column, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        match column {
            0 => text += &format!(" {cell:<width$} |"),
            _ => text += &format!(" {cell:>width$} |"),
        }
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_markdown() {
        let mut table = Table::new("speeds", &["work", "ns"]);
        table.row(["a yield".to_string(), "22".to_string()]);
        assert_eq!(table.render(), "| work    | ns |\n| ------- | -: |\n| a yield | 22 |\n");
    }
}
