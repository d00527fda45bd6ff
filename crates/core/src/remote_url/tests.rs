use proptest::prelude::*;

use super::*;

#[test]
fn reports_the_host_git_connects_to() {
    for (address, host, port) in [
        ("https://github.com/acme/shop", "github.com", None),
        (
            "https://Ada:x@GitHub.com:8443/acme",
            "github.com",
            Some(8443),
        ),
        ("HTTPS://github.com./acme/shop", "github.com", None),
        ("https://github.com:/acme/shop", "github.com", None),
        // curl ends the authority at `?` and `#`.
        ("https://evil.example#@github.com/x", "evil.example", None),
        ("https://evil.example?@github.com/x", "evil.example", None),
        ("http://evil.example/@github.com/x", "evil.example", None),
        ("https://github.com@evil.example/x", "evil.example", None),
        (
            "https://github.com:443@evil.example/x",
            "evil.example",
            None,
        ),
        // ssh does not.
        ("ssh://github.com?@evil.example/x", "evil.example", None),
        ("ssh://github.com#@evil.example/x", "evil.example", None),
        ("git+ssh://github.com?@evil.example/x", "evil.example", None),
        (
            "SSH://github.com:22@evil.example:2222/x",
            "evil.example",
            Some(2222),
        ),
        (
            "ssh://git%40github.com@evil.example/x",
            "evil.example",
            None,
        ),
        ("ssh://github.com%40evil.example/x", "evil.example", None),
        ("ssh://a@b@evil.example/x", "evil.example", None),
        ("ssh://git@[::1]:22/x", "::1", Some(22)),
        ("ssh://git@[0:0::1]/x", "::1", None),
        ("git://git.example:9418/x", "git.example", Some(9418)),
        ("git@github.com:acme/shop.git", "github.com", None),
        ("github.com:acme/shop", "github.com", None),
        ("a@b@evil.example:x", "evil.example", None),
        ("github.com:22@evil.example:x", "github.com", None),
        ("git@[::1]:acme/shop", "::1", None),
        ("[::1]:shop", "::1", None),
    ] {
        let url = RemoteUrl::parse(address).expect(address);
        assert_eq!((url.host(), url.port()), (Some(host), port), "{address}");
    }
}

#[test]
fn refuses_addresses_without_a_certain_host() {
    use RemoteUrlError as E;
    for (address, error) in [
        ("", E::Empty),
        (" https://github.com/x", E::Whitespace),
        ("https://github.com/x\n", E::Whitespace),
        ("https://x/\u{1b}[31m", E::Whitespace),
        ("--upload-pack=touch pwned", E::Option),
        ("-oProxyCommand=x@host:path", E::Option),
        ("ext::sh -c touch% pwned", E::Helper),
        ("ftp::https://github.com/x", E::Helper),
        ("ftp://github.com/x", E::Scheme),
        ("javascript://github.com/x", E::Scheme),
        ("git@github.com:a://b", E::Scheme),
        ("_x://github.com/x", E::Scheme),
        ("https:///x", E::Host),
        ("https://ada@/x", E::Host),
        ("https://evil.example\\@github.com/x", E::Host),
        ("https://evil.example\\.github.com/x", E::Host),
        ("https://github.com%2eevil.example/x", E::Host),
        ("https://a@b@github.com/x", E::Host),
        ("https://git hub.com/x", E::Host),
        ("https://\u{261}ithub.com/x", E::Host),
        ("https://[::1/x", E::Host),
        ("https://[::1]x/y", E::Host),
        ("https://[github.com]/x", E::Host),
        ("ssh://-oProxyCommand=x/y", E::Host),
        ("ssh://git@-oProxyCommand=x/y", E::Host),
        // Decoded, the host ends at the slash.
        ("ssh://evil.example%2f@github.com/x", E::Host),
        ("ssh://evil.example%0a@github.com/x", E::Host),
        // Git takes brackets behind an `@` for the host wherever they are.
        ("ssh://github.com/@[evil.example]/x", E::Host),
        ("ssh://github.com/%40%5bevil.example]/x", E::Host),
        ("github.com:x/@[evil.example]:y", E::Host),
        ("ssh://[evil.example]@github.com/x", E::Host),
        ("[evil.example]@github.com:x", E::Host),
        ("git://github.com@evil.example/x", E::Host),
        (":shop", E::Host),
        ("https://github.com:x/y", E::Port),
        ("https://github.com:65536/y", E::Port),
        ("https://github.com:+443/y", E::Port),
        ("ssh://github.com:22:22/y", E::Port),
    ] {
        assert_eq!(RemoteUrl::parse(address), Err(error), "{address}");
    }
}

#[test]
fn tells_transports_apart_as_git_does() {
    use Transport as T;
    for (address, transport) in [
        ("https://github.com/acme/shop.git", Some(T::Https)),
        ("http://127.0.0.1:8080/shop", Some(T::Http)),
        ("ssh://git@github.com:22/acme/shop.git", Some(T::Ssh)),
        ("ssh+git://github.com/acme/shop.git", Some(T::Ssh)),
        ("git@github.com:acme/shop.git", Some(T::Ssh)),
        ("github.com:acme/shop", Some(T::Ssh)),
        ("git://host/shop", Some(T::Git)),
        ("file:///srv/shop.git", Some(T::File)),
        ("FILE:///srv/shop.git", Some(T::File)),
        ("/srv/a:b.git", Some(T::Path)),
        ("/srv/a://b.git", Some(T::Path)),
        ("./a:b", Some(T::Path)),
        ("../shop.git", Some(T::Path)),
        ("shop", Some(T::Path)),
        ("rsync://host/shop", None),
    ] {
        assert_eq!(Transport::of(address), transport, "{address}");
    }
}

#[test]
fn spellings_of_one_repository_are_equal() {
    for (expected, spellings) in [
        (
            "github.com/acme/shop",
            [
                "https://github.com/acme/shop.git",
                "https://GitHub.com/acme/shop/",
                "https://token@github.com/acme/shop",
                "HTTPS://github.com:443//acme/shop.git/",
                "ssh://git@github.com:22/acme/shop.git",
                "ssh://github.com/acme/sho%70",
                "git@github.com:acme/shop.git",
                "github.com:/acme/shop",
                " github.com:acme/shop ",
            ]
            .as_slice(),
        ),
        (
            "gitlab.example/group/sub/shop",
            &[
                "https://gitlab.example:8443/group/sub/shop",
                "git@gitlab.example:group/sub/shop.git",
            ],
        ),
        (
            "/srv/my shop",
            &[
                "file:///srv/my%20shop.git",
                "/srv/my shop.git",
                "/srv/my shop/.git",
            ],
        ),
        ("host/git?repo=a", &["https://host/git?repo=a"]),
        ("github.com", &["github.com", "https://github.com/"]),
        ("/", &["/", "file:///"]),
        ("ftp://host/x", &["ftp://ada:secret@host/x"]),
    ] {
        for spelling in spellings {
            assert_eq!(identity(spelling), expected, "{spelling}");
        }
    }
}

#[test]
fn keeps_nested_groups_in_the_path() {
    for (address, path, name, short) in [
        (
            "https://github.com/acme/shop.git",
            "acme/shop",
            "shop",
            "acme/shop",
        ),
        (
            "git@host:group/sub/shop.git",
            "group/sub/shop",
            "shop",
            "sub/shop",
        ),
        ("https://host/shop?x=a/b", "shop", "shop", "host/shop"),
        ("/srv/git/shop.git", "/srv/git/shop", "shop", "shop"),
        ("shop", "shop", "shop", "shop"),
        ("https://host", "", "", "host/"),
    ] {
        let url = RemoteUrl::parse(address).expect(address);
        assert_eq!(
            (url.path(), url.name(), url.short_name().as_str()),
            (path, name, short)
        );
    }
}

#[test]
fn origin_is_scheme_host_and_port() {
    for (address, origin) in [
        (
            "https://ada:x@GitHub.com:443/acme/shop",
            Some("https://github.com"),
        ),
        ("http://127.0.0.1:8080/shop", Some("http://127.0.0.1:8080")),
        ("https://[::1]:8443/shop", Some("https://[::1]:8443")),
        (
            "https://evil.example#@github.com/x",
            Some("https://evil.example"),
        ),
        ("git@github.com:acme/shop", Some("ssh://github.com")),
        ("/srv/shop", None),
        ("file:///srv/shop", None),
    ] {
        let url = RemoteUrl::parse(address).expect(address);
        assert_eq!(url.origin().as_deref(), origin, "{address}");
    }
    assert!(same_http_origin(
        "https://a.example/x",
        "https://A.example:443/y"
    ));
    for other in [
        "http://a.example/x",
        "https://a.example:8443/x",
        "ssh://a.example/x",
        "/x",
    ] {
        assert!(!same_http_origin("https://a.example/x", other), "{other}");
    }
    assert!(!same_http_origin("/x", "/x"));
}

#[test]
fn display_has_no_password_or_token() {
    for (address, shown) in [
        (
            "https://github.com/acme/shop.git",
            "https://github.com/acme/shop.git",
        ),
        (
            "https://ghp_secret@github.com/acme/shop",
            "https://github.com/acme/shop",
        ),
        (
            "https://user:p@ss@github.com/acme/shop",
            "https://github.com/acme/shop",
        ),
        ("https://host/x?token=secret", "https://host/x?\u{2026}"),
        ("https://host/x#secret", "https://host/x?\u{2026}"),
        (
            "ssh://git@github.com/acme/shop",
            "ssh://git@github.com/acme/shop",
        ),
        (
            "ssh://git:secret@github.com:22/acme/shop",
            "ssh://git@github.com:22/acme/shop",
        ),
        (
            "ssh://ghp_secret@github.com/acme/shop",
            "ssh://github.com/acme/shop",
        ),
        (
            "git@github.com:acme/shop.git",
            "git@github.com:acme/shop.git",
        ),
        ("git@[::1]:shop.git", "git@[::1]:shop.git"),
        ("file://ada:secret@host/srv/shop", "file:///srv/shop"),
        ("/srv/a@b.git", "/srv/a@b.git"),
        ("ftp://ada:secret@host/x?token=secret", "ftp://host/x"),
        ("https://ada:se@cr@host,", "https://host,"),
        ("no address at all", "no address at all"),
    ] {
        assert_eq!(redact(address), shown, "{address}");
    }
    let url = RemoteUrl::parse("https://ada:secret@host/x?repo=a").unwrap();
    assert_eq!(url.clone_url(), "https://host/x?repo=a");
    assert_eq!(format!("{url:?}"), "RemoteUrl(\"https://host/x?\u{2026}\")");
}

#[test]
fn recognises_secrets() {
    for (address, secret) in [
        ("https://ada:x@host/y", true),
        ("https://:x@host/y", true),
        ("https://ghp_x@host/y", true),
        ("ssh://glpat-x@host/y", true),
        ("https://ada@host/y", false),
        ("git@host:y", false),
    ] {
        let url = RemoteUrl::parse(address).expect(address);
        assert_eq!(url.has_secret(), secret, "{address}");
    }
}

#[test]
fn recognises_local_repositories() {
    for (address, local) in [
        ("/srv/shop", true),
        ("file:///srv/shop", true),
        ("http://localhost:3000/shop", true),
        ("http://git.localhost/shop", true),
        ("ssh://git@127.0.0.1/shop", true),
        ("http://[::1]:80/x", true),
        ("git@github.com:acme/shop.git", false),
        ("https://localhost.example/shop", false),
    ] {
        let url = RemoteUrl::parse(address).expect(address);
        assert_eq!(url.is_local(), local, "{address}");
    }
}

proptest! {
    #[test]
    fn never_panics(address in r"\PC*|[a-z+]{0,5}:{0,2}/{0,2}[a-z:@/?#%\[\]0-9.\\-]{0,30}") {
        let redacted = redact(&address);
        let identity = identity(&address);
        if let Ok(url) = RemoteUrl::parse(&address) {
            prop_assert_eq!(url.display(), redacted);
            prop_assert_eq!(url.identity(), identity);
            let again = RemoteUrl::parse(&url.clone_url());
            if url.transport() != Transport::Path {
                prop_assert_eq!(again.map(|again| again.identity()), Ok(url.identity()));
            }
        }
    }

    #[test]
    fn never_shows_a_password(
        scheme in "https|http|ssh|git|HTTPS|ftp|git\\+ssh",
        user in "[a-z%:]{0,4}",
        middle in "[a-z0-9@/?#%\\\\\\[\\] ]{0,6}",
        rest in "[a-z.]{1,5}(:[0-9]{1,3})?(/[a-z]{0,3})?",
    ) {
        let address = format!("{scheme}://{user}:QSECRETQ{middle}@{rest}");
        // Where the authority ends before the `@`, the text in front of it is host and port.
        if !middle.contains(['/', '?', '#']) {
            prop_assert!(!redact(&address).contains("SECRET"), "{}", redact(&address));
        }
    }
}
