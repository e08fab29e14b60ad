//! [`Table`]: rows for people.

/// Rows whose columns are below each other. Numbers stand to the right.
#[derive(Debug)]
pub(super) struct Table {
    /// Of each column: whether it stands to the right.
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// `head`: the columns' names, a `>` before those that stand to the right.
    pub(super) fn new(head: &[&str]) -> Self {
        let names = head
            .iter()
            .map(|name| name.trim_start_matches('>').to_owned());
        Self {
            right: head.iter().map(|name| name.starts_with('>')).collect(),
            rows: vec![names.collect()],
        }
    }

    pub(super) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// The lines, without a line feed after the last.
    pub(super) fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.right.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).zip(&self.right);
            let cells = cells.map(|((cell, width), right)| match right {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_below_each_other() {
        let mut table = Table::new(&["NAME", ">N", "STATE"]);
        assert!(table.is_empty());
        table.push(vec!["a".into(), "12,345".into(), "sound".into()]);
        table.push(vec!["longer".into(), "1".into(), String::new()]);
        let expected = "NAME         N  STATE\na       12,345  sound\nlonger       1";
        assert_eq!(table.text(), expected);
    }
}
