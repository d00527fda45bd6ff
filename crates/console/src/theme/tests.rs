use super::*;

/// Returns the WCAG contrast ratio, from 1 to 21.
fn contrast(a: (u8, u8, u8), b: (u8, u8, u8)) -> f64 {
    let channel = |c: u8| {
        let c = f64::from(c) / 255.0;
        if c <= 0.03928 {
            c / 12.92
        } else {
            ((c + 0.055) / 1.055).powf(2.4)
        }
    };
    let luminance = |(r, g, b): (u8, u8, u8)| {
        0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b) + 0.05
    };
    let (a, b) = (luminance(a), luminance(b));
    if a > b { a / b } else { b / a }
}

#[test]
fn shipped_themes_are_valid_and_complete() {
    for (name, _) in SHIPPED {
        for depth in [Depth::True, Depth::Indexed, Depth::Sixteen, Depth::Mono] {
            let (_, warnings) = Theme::load(name, depth, |_| None);
            assert_eq!(warnings, Vec::<String>::new());
        }
        let roots = Scope::ALL
            .iter()
            .filter(|scope| !scope.name().contains('.'));
        let text = |theme: &str| SHIPPED.iter().find(|(name, _)| *name == theme).unwrap().1;
        let mut file: ThemeFile = toml::from_str(text(name)).unwrap();
        let mut known: Vec<String> = file.scopes.keys().cloned().collect();
        while let Some(parent) = file.inherits.take() {
            file = toml::from_str(text(&parent)).unwrap();
            known.extend(file.scopes.keys().cloned());
        }
        for root in roots {
            let given = known.iter().any(|key| key == root.name());
            assert!(given, "{name} lacks {}", root.name());
        }
    }
}

#[test]
fn text_has_enough_contrast() {
    let mut low = Vec::new();
    for (name, _) in SHIPPED
        .iter()
        .filter(|(name, _)| !["terminal-16", "monochrome"].contains(name))
    {
        for depth in [Depth::True, Depth::Indexed] {
            let theme = Theme::load(name, depth, |_| None).0;
            let base = theme.style(Scope::Text).bg.and_then(colour::rgb).unwrap();
            for scope in Scope::ALL {
                let style = theme.style(*scope);
                let ground = style.bg.and_then(colour::rgb).unwrap_or(base);
                let Some(ink) = style.fg.and_then(colour::rgb) else {
                    continue;
                };
                let enough = match scope {
                    Scope::Border => 1.3,
                    Scope::Faint
                    | Scope::PriorityLow
                    | Scope::LogTimestamp
                    | Scope::InputPlaceholder
                    | Scope::SyntaxPunctuation => 2.8,
                    _ => 4.5,
                };
                let found = contrast(ink, ground);
                if found < enough {
                    low.push(format!("{name} {depth:?}: {} {found:.1}", scope.name()));
                }
            }
        }
    }
    assert!(low.is_empty(), "too little contrast:\n{}", low.join("\n"));
}

#[test]
fn run_states_have_distinct_styles() {
    for (name, _) in SHIPPED {
        let theme = Theme::shipped(name);
        let states = [
            Scope::RunPending,
            Scope::RunRunning,
            Scope::RunSucceeded,
            Scope::RunFailed,
        ]
        .map(|scope| theme.style(scope));
        for (index, state) in states.iter().enumerate() {
            let twin = states[index + 1..].contains(state);
            assert!(!twin, "{name}: two run states look alike");
        }
    }
}

#[test]
fn scopes_inherit_from_their_parent() {
    let own = |name: &str| {
        (name == "mine").then(|| "[palette]\nink = \"#010203\"\n[scopes]\ntext = \"#ffffff\"\nrun = \"ink\"\n\"run.failed\" = { fg = \"red\", modifiers = [\"bold\"] }".to_owned())
    };
    let (theme, warnings) = Theme::load("mine", Depth::True, own);
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(theme.style(Scope::RunRunning).fg, Some(Color::Rgb(1, 2, 3)));
    assert_eq!(
        theme.style(Scope::RunFailed),
        Style::new().fg(Color::Red).bold()
    );
    assert_eq!(
        theme.style(Scope::DiffAdded).fg,
        Some(Color::Rgb(255, 255, 255))
    );
}

#[test]
fn invalid_themes_are_used_with_warnings() {
    for (text, word) in [
        (
            "inherits = \"dark\"\n[scopes]\nrnu = \"red\"",
            "unknown scope rnu",
        ),
        (
            "inherits = \"dark\"\n[scopes]\nrun = \"blurple\"",
            "blurple",
        ),
        (
            "inherits = \"dark\"\n[scopes]\nrun = { modifiers = [\"loud\"] }",
            "loud",
        ),
        ("inherits = \"mine\"", "cycle"),
        ("inherits = \"nowhere\"", "no theme nowhere"),
        ("colours = 5", "mine"),
        ("not toml", "mine"),
    ] {
        let (theme, warnings) = Theme::load("mine", Depth::True, |name| {
            (name == "mine").then(|| text.to_owned())
        });
        assert!(
            warnings.iter().any(|warning| warning.contains(word)),
            "{text}: {warnings:?}"
        );
        let _ = theme.style(Scope::RunFailed);
    }
}

#[test]
fn mono_has_no_colours() {
    let theme = Theme::load("dark", Depth::Mono, |_| None).0;
    for scope in Scope::ALL {
        let style = theme.style(*scope);
        assert_eq!((style.fg, style.bg), (None, None), "{}", scope.name());
    }
    assert_ne!(theme.style(Scope::Selection), theme.style(Scope::Text));
}

#[test]
fn scope_at_inverts_of_scopes() {
    let theme = Theme::of_scopes();
    for scope in Scope::ALL {
        let fg = theme.style(*scope).fg.unwrap();
        assert_eq!(Theme::scope_at(fg), Some(*scope));
    }
}
