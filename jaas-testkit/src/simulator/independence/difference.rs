//! Two texts, line by line.

/// How many equal lines are shown before and after those that differ.
const CONTEXT: usize = 2;
/// Longer texts are shown whole: comparing takes the product of their lengths.
const LINES: usize = 2_000;

/// The lines of `result` (`-`) and `expected` (`+`) that differ, with a few around them.
pub(super) fn lines(result: &str, expected: &str) -> String {
    let (result, expected): (Vec<&str>, Vec<&str>) = (result.lines().collect(), expected.lines().collect());
    if result.len() > LINES || expected.len() > LINES {
        let all = result.iter().map(|line| ('-', *line)).chain(expected.iter().map(|line| ('+', *line)));
        return all.map(|(mark, line)| format!("  {mark} {line}\n")).collect();
    }
    let lines = compare(&result, &expected);
    let near = |index: usize| {
        let around = index.saturating_sub(CONTEXT)..(index + CONTEXT + 1).min(lines.len());
        lines[around].iter().any(|(mark, _)| *mark != ' ')
    };
    let mut text = String::new();
    let mut skipped = false;
    for (index, (mark, line)) in lines.iter().enumerate() {
        if near(index) {
            if std::mem::take(&mut skipped) {
                text.push_str("    …\n");
            }
            text.push_str(&format!("  {mark} {line}\n"));
        } else {
            skipped = true;
        }
    }
    text
}

/// The longest common part stays unmarked.
fn compare<'a>(result: &[&'a str], expected: &[&'a str]) -> Vec<(char, &'a str)> {
    let width = expected.len() + 1;
    // How long the common part of the rests from here is.
    let mut common = vec![0u16; (result.len() + 1) * width];
    for i in (0..result.len()).rev() {
        for j in (0..expected.len()).rev() {
            common[i * width + j] = if result[i] == expected[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < result.len() || j < expected.len() {
        if i < result.len() && j < expected.len() && result[i] == expected[j] {
            lines.push((' ', result[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == expected.len()
            || (i < result.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            lines.push(('-', result[i]));
            i += 1;
        } else {
            lines.push(('+', expected[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_marked_and_what_is_far_from_it_left_out() {
        let (result, expected) = ("a\nb\nc\nd\ne\nf\ng\nh", "a\nb\nc\nd\ne\nF\ng\nh\ni");
        assert_eq!(lines(result, expected), "    …\n    d\n    e\n  - f\n  + F\n    g\n    h\n  + i\n");
        assert_eq!(lines("1", "2"), "  - 1\n  + 2\n");
        assert_eq!(lines("", "x"), "  + x\n");
    }
}
