//! JSON responses of the stand-in, with every field that GitHub's API description requires.

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::{
    Service,
    api::Shared,
    origin::{commit, merges},
    store::{Review, StoredPull},
};
use flightdeck_core::runs::naming;

/// The author of every pull request.
const AUTHOR: &str = "flightdeck";
/// Repository fields that are always true, always false, and always zero.
const ON: &str =
    "has_issues allow_auto_merge allow_merge_commit allow_squash_merge allow_rebase_merge";
const OFF: &str =
    "private fork archived disabled has_projects has_wiki has_pages has_downloads has_discussions";
const NONE: &str = "forks forks_count open_issues open_issues_count stargazers_count watchers \
    watchers_count subscribers_count network_count size";
/// Creation time of everything without a time of its own.
const BEGINNING: &str = "2024-01-01T00:00:00Z";

/// Returns a stable number for a name.
fn id(name: &str) -> u64 {
    u64::from_str_radix(&naming::hash(name, 12), 16).unwrap_or(1)
}

/// Adds `<name>_url` for each `name=path`, below `base`.
fn add_urls(shape: &mut Value, base: &str, urls: &str) {
    for (name, path) in urls
        .split_whitespace()
        .filter_map(|url| url.split_once('='))
    {
        shape[format!("{name}_url")] = format!("{base}{path}").into();
    }
}

fn user(service: &Service, login: &str) -> Value {
    let url = format!("{}/users/{login}", service.url);
    let mut shape = json!({
        "login": login, "id": id(login), "node_id": format!("U_{}", id(login)), "gravatar_id": "", "url": url,
        "html_url": format!("{}/{login}", service.url), "avatar_url": format!("{}/{login}.png", service.url),
        "type": "User", "site_admin": false,
    });
    add_urls(
        &mut shape,
        &url,
        "followers=/followers following=/following{/other_user} gists=/gists{/gist_id} starred=/starred{/owner}{/repo}
         subscriptions=/subscriptions organizations=/orgs repos=/repos events=/events{/privacy} received_events=/received_events",
    );
    shape
}

fn team(service: &Service, slug: &str) -> Value {
    let url = format!("{}/teams/{slug}", service.url);
    let mut shape = json!({
        "id": id(slug), "node_id": format!("T_{}", id(slug)), "url": url, "html_url": url, "name": slug, "slug": slug,
        "description": null, "permission": "pull", "privacy": "closed", "parent": null, "type": "organization",
        "organization_id": 1,
    });
    add_urls(
        &mut shape,
        &url,
        "members=/members{/member} repositories=/repos",
    );
    shape
}

/// Returns a repository with the fields of all of GitHub's representations.
fn repository_of(service: &Service, full_name: &str) -> Value {
    let (owner, name) = full_name.split_once('/').unwrap_or(("", full_name));
    let api = format!("{}/repos/{full_name}", service.url);
    let page = format!("{}/{full_name}", service.url);
    let mut shape = json!({
        "id": id(full_name), "node_id": format!("R_{}", id(full_name)), "name": name, "full_name": full_name,
        "owner": user(service, owner), "description": null, "homepage": null,
        "language": null, "license": null, "default_branch": "main", "url": api, "html_url": page,
        "clone_url": format!("{page}.git"), "git_url": format!("{page}.git"), "ssh_url": format!("{page}.git"),
        "svn_url": page, "mirror_url": null, "pushed_at": BEGINNING, "created_at": BEGINNING, "updated_at": BEGINNING,
    });
    for (words, value) in [(ON, json!(true)), (OFF, json!(false)), (NONE, json!(0))] {
        for name in words.split_whitespace() {
            shape[name] = value.clone();
        }
    }
    add_urls(
        &mut shape,
        &api,
        "archive=/{archive_format}{/ref} assignees=/assignees{/user} blobs=/git/blobs{/sha} branches=/branches{/branch}
         collaborators=/collaborators{/collaborator} comments=/comments{/number} commits=/commits{/sha}
         compare=/compare/{base}...{head} contents=/contents/{+path} contributors=/contributors deployments=/deployments
         downloads=/downloads events=/events forks=/forks git_commits=/git/commits{/sha} git_refs=/git/refs{/sha}
         git_tags=/git/tags{/sha} hooks=/hooks issue_comment=/issues/comments{/number} issue_events=/issues/events{/number}
         issues=/issues{/number} keys=/keys{/key_id} labels=/labels{/name} languages=/languages merges=/merges
         milestones=/milestones{/number} notifications=/notifications{?since,all,participating} pulls=/pulls{/number}
         releases=/releases{/id} stargazers=/stargazers statuses=/statuses/{sha} subscribers=/subscribers
         subscription=/subscription tags=/tags teams=/teams trees=/git/trees{/sha}",
    );
    shape
}

pub(super) async fn repository(
    State(service): Shared,
    Path((owner, name)): Path<(String, String)>,
) -> Json<Value> {
    Json(repository_of(&service, &format!("{owner}/{name}")))
}

/// Returns the GraphQL node ID of a pull request.
pub(super) fn node_id(pull: &StoredPull) -> String {
    format!("PR_{}_{}", id(&pull.repository), pull.number)
}

/// Returns the labels of a pull request.
pub(super) fn labels(service: &Service, pull: &StoredPull) -> Value {
    let shape = |name: &String| {
        json!({
            "id": id(name), "node_id": format!("LA_{}", id(name)), "name": name, "description": "", "color": "ededed",
            "url": format!("{}/repos/{}/labels/{name}", service.url, pull.repository), "default": false,
        })
    };
    pull.labels.iter().map(shape).collect()
}

/// Returns the head commit of a branch, made up if there is no repository.
async fn head_commit(service: &Service, branch: &str) -> String {
    let real = match &service.options.bare_repository {
        Some(bare) => commit(bare, branch).await,
        None => None,
    };
    real.unwrap_or_else(|| naming::hash(branch, 40))
}

/// Returns a pull request as in lists.
pub(super) async fn summary(service: &Service, pull: &StoredPull) -> Value {
    let api = format!("{}/repos/{}", service.url, pull.repository);
    let (url, issue) = (
        format!("{api}/pulls/{}", pull.number),
        format!("{api}/issues/{}", pull.number),
    );
    let page = format!("{}/{}/pull/{}", service.url, pull.repository, pull.number);
    let owner = pull.repository.split('/').next().unwrap_or_default();
    let head = head_commit(service, &pull.head).await;
    let side = |branch: &str, commit: &str| {
        json!({
            "label": format!("{owner}:{branch}"), "ref": branch, "sha": commit, "user": user(service, owner),
            "repo": repository_of(service, &pull.repository),
        })
    };
    let base = head_commit(service, &pull.base).await;
    let (comment, statuses) = (
        format!("{api}/pulls/comments{{/number}}"),
        format!("{api}/statuses/{head}"),
    );
    let (comments, commits) = (format!("{issue}/comments"), format!("{url}/commits"));
    let review_comments = format!("{url}/comments");
    let auto_merge = pull.auto_merge.as_ref().map(|method| {
        json!({
            "enabled_by": user(service, AUTHOR), "merge_method": method.to_lowercase(), "commit_title": pull.title,
            "commit_message": "",
        })
    });
    let link = |url: &str| json!({"href": url});
    json!({
        "id": id(&url), "node_id": node_id(pull), "number": pull.number, "title": pull.title, "body": pull.body,
        "state": if pull.open() { "open" } else { "closed" }, "draft": pull.draft, "locked": false,
        "user": user(service, AUTHOR), "author_association": "COLLABORATOR", "assignee": null, "assignees": [],
        "milestone": null, "auto_merge": auto_merge, "created_at": pull.created, "updated_at": pull.created,
        "closed_at": pull.merged, "merged_at": pull.merged,
        "merge_commit_sha": pull.merged.map(|_| base.clone()),
        "head": side(&pull.head, &head), "base": side(&pull.base, &base), "labels": labels(service, pull),
        "requested_reviewers": pull.reviewers.iter().map(|login| user(service, login)).collect::<Vec<_>>(),
        "requested_teams": pull.teams.iter().map(|slug| team(service, slug)).collect::<Vec<_>>(),
        "_links": {
            "self": link(&url), "html": link(&page), "issue": link(&issue), "comments": link(&comments),
            "review_comments": link(&review_comments), "review_comment": link(&comment), "commits": link(&commits),
            "statuses": link(&statuses),
        },
        "url": url, "html_url": page, "diff_url": format!("{page}.diff"), "patch_url": format!("{page}.patch"),
        "issue_url": issue, "commits_url": commits, "review_comments_url": review_comments,
        "review_comment_url": comment, "comments_url": comments, "statuses_url": statuses,
    })
}

/// Returns a pull request as read by number: with mergeability and counts.
pub(super) async fn full(service: &Service, pull: &StoredPull) -> Value {
    let mergeable = match &service.options.bare_repository {
        Some(bare) if pull.open() => Some(merges(bare, &pull.base, &pull.head).await),
        _ => None,
    };
    let mut shape = summary(service, pull).await;
    let more = json!({
        "merged": pull.merged.is_some(), "merged_by": null, "mergeable": mergeable,
        "mergeable_state": match mergeable {
            Some(true) => "clean",
            Some(false) => "dirty",
            None => "unknown",
        },
        "maintainer_can_modify": false, "comments": 0, "review_comments": 0, "commits": 1, "additions": 0,
        "deletions": 0, "changed_files": 1,
    });
    if let (Some(shape), Value::Object(more)) = (shape.as_object_mut(), more) {
        shape.extend(more);
    }
    shape
}

/// Returns a review.
pub(super) async fn review(service: &Service, pull: &StoredPull, review: &Review) -> Value {
    let page = format!("{}/{}/pull/{}", service.url, pull.repository, pull.number);
    let url = format!(
        "{}/repos/{}/pulls/{}",
        service.url, pull.repository, pull.number
    );
    let name = format!("{url} {} {}", review.by, review.at);
    json!({
        "id": id(&name), "node_id": format!("PRR_{}", id(&name)), "user": user(service, &review.by),
        "body": review.text, "state": review.state, "submitted_at": review.at, "author_association": "COLLABORATOR",
        "commit_id": head_commit(service, &pull.head).await, "html_url": page, "pull_request_url": url,
        "_links": {"html": {"href": page}, "pull_request": {"href": url}},
    })
}

/// Returns the check run for whether a branch merges into its base.
pub(super) fn check_run(
    service: &Service,
    repository: &str,
    pull: &StoredPull,
    commit: &str,
    merges: bool,
) -> Value {
    let name = format!("merges into {}", pull.base);
    let number = id(&format!("{repository} {commit} {name}"));
    let url = format!("{}/repos/{repository}/check-runs/{number}", service.url);
    json!({
        "id": number, "node_id": format!("CR_{number}"), "name": name, "head_sha": commit, "external_id": "",
        "html_url": url, "details_url": url, "status": "completed",
        "conclusion": if merges { "success" } else { "failure" }, "started_at": pull.created,
        "completed_at": pull.created, "check_suite": null, "app": null, "pull_requests": [],
        "output": {
            "title": null, "summary": null, "text": null, "annotations_count": 0,
            "annotations_url": format!("{url}/annotations"),
        },
        "url": url,
    })
}

/// Returns the empty combined status of a commit.
pub(super) fn no_statuses(service: &Service, repository: &str, commit: &str) -> Value {
    let url = format!("{}/repos/{repository}/commits/{commit}", service.url);
    json!({
        "state": "pending", "sha": commit, "total_count": 0, "statuses": [],
        "repository": repository_of(service, repository), "commit_url": url, "url": format!("{url}/status"),
    })
}
