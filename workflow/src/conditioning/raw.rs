//! Prompts that come as the painter wrote them.

/// A prompt as the painter wrote it, without what the plugin otherwise takes out: comments, LoRAs, layers and the choice
/// of alternatives, of which the first is taken.
pub(super) fn plain(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(uncommented).collect();
    choose(&untagged(lines.join("\n"))).trim().to_owned()
}

/// Without what is after a `#`. `\#` is a `#`, and six hexadecimal digits after one are a colour.
fn uncommented(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('#') {
        let digits = after.chars().take_while(char::is_ascii_hexdigit).count();
        if let Some(before) = before.strip_suffix('\\') {
            kept.push_str(before);
        } else if digits == 6 {
            kept.push_str(before);
        } else {
            kept.push_str(before);
            return kept;
        }
        kept.push('#');
        rest = after;
    }
    kept.push_str(rest);
    kept
}

/// Without the tags of LoRAs and layers, in whatever case.
fn untagged(mut text: String) -> String {
    for tag in ["<lora:", "<layer:"] {
        while let Some(start) = text.to_ascii_lowercase().find(tag) {
            let Some(length) = text[start..].find('>') else { break };
            text.replace_range(start..=start + length, "");
        }
    }
    text
}

/// With the first alternative of each choice; choices may lie in one another.
fn choose(text: &str) -> String {
    // The alternatives of each choice that is open; the first is what lies in none.
    let mut open = vec![vec![String::new()]];
    for letter in text.chars() {
        let inside = open.len() > 1;
        match letter {
            '{' => open.push(vec![String::new()]),
            '|' if inside => {
                if let Some(alternatives) = open.last_mut() {
                    alternatives.push(String::new());
                }
            }
            '}' if inside => {
                let alternatives = open.pop().unwrap_or_default();
                let chosen = match alternatives.as_slice() {
                    [only] => format!("{{{only}}}"),
                    [first, ..] => first.clone(),
                    [] => String::new(),
                };
                write(&mut open, &chosen);
            }
            letter => write(&mut open, letter.encode_utf8(&mut [0; 4])),
        }
    }
    // What was never closed is no choice.
    let whole: Vec<_> = open.into_iter().map(|alternatives| alternatives.join("|")).collect();
    whole.join("{")
}

fn write(open: &mut [Vec<String>], text: &str) {
    if let Some(alternative) = open.last_mut().and_then(|alternatives| alternatives.last_mut()) {
        alternative.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_raw_prompt_becomes_plain() {
        for (raw, text) in [
            ("a cat", "a cat"),
            ("a {red|blue} cat # not too large\nby night", "a red cat \nby night"),
            ("ink<lora:ink:0.8>, <layer:Sketch> {prompt} {a|b", "ink,  {prompt} {a|b"),
            ("<lora: {{x|y}}", "<lora: {x}"),
            ("{|dark }sky", "sky"),
            ("eyes #ff8800, smile", "eyes #ff8800, smile"),
            ("#ff880 or #ff88001", ""),
            ("lot \\#7, sign # a comment", "lot #7, sign"),
            ("a {big {red|blue}|small} cat", "a big red cat"),
            ("a | b } c", "a | b } c"),
            ("ink <LoRA:Ink:1> wash", "ink  wash"),
            ("castle <lora:ink:0.8>, {red|blue} roof # too dark", "castle , red roof"),
        ] {
            assert_eq!(plain(raw), text, "{raw:?}");
        }
        // However deep.
        let deep = format!("{}x{}", "{a|".repeat(5_000), "}".repeat(5_000));
        assert_eq!(plain(&deep), "a");
    }
}
