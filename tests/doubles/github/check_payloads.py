"""JSON of check runs, check suites and commit statuses."""

from __future__ import annotations

from tests.doubles.github import git
from tests.doubles.github.payloads import BasicPayloads, Json
from tests.doubles.github.state import CheckRun, CheckSuite, Repository, Status, now


class CheckPayloads(BasicPayloads):
    """Adds what machines say of a commit."""

    def _pull_mentions(self, repository: Repository, sha: str) -> list[Json]:
        """The open pulls at a commit, in the short form of checks."""

        def side(ref: str, at: str, where: Repository) -> Json:
            short = {"id": where.id, "url": self.repository_api(where), "name": where.name}
            return {"ref": ref, "sha": at, "repo": short}

        return [
            {
                "url": f"{self.repository_api(repository)}/pulls/{pull.number}",
                "id": pull.id,
                "number": pull.number,
                "head": side(pull.head_ref, pull.head_sha, pull.head_repo),
                "base": side(pull.base_ref, pull.base_sha, repository),
            }
            for pull in repository.pulls.values()
            # GitHub lists no pull requests from forks here.
            if pull.state == "open" and pull.head_sha == sha and pull.head_repo is repository
        ]

    def check_run(self, repository: Repository, run: CheckRun) -> Json:
        """A check run as REST answers it."""
        url = f"{self.repository_api(repository)}/check-runs/{run.id}"
        return {
            "id": run.id,
            "name": run.name,
            "node_id": f"CR_kwDO{run.id:08x}",
            "head_sha": run.head_sha,
            "external_id": run.external_id,
            "url": url,
            "html_url": f"{self.web}/{repository.full_name}/runs/{run.id}",
            "details_url": run.details_url or f"{self.web}/{self.app()['slug']}",
            "status": run.status,
            "conclusion": run.conclusion,
            "started_at": run.started_at,
            "completed_at": run.completed_at,
            "output": {
                "title": run.title,
                "summary": run.summary,
                "text": run.text,
                "annotations_count": len(run.annotations),
                "annotations_url": f"{url}/annotations",
            },
            "check_suite": {"id": run.suite.id},
            "app": self.app(),
            "pull_requests": self._pull_mentions(repository, run.head_sha),
        }

    def check_suite(self, repository: Repository, suite: CheckSuite) -> Json:
        """A check suite, as webhooks carry it."""
        url = f"{self.repository_api(repository)}/check-suites/{suite.id}"
        runs = [run for run in repository.check_runs.values() if run.suite is suite]
        done = bool(runs) and all(run.status == "completed" for run in runs)
        facts = git.commit_facts(repository.path, suite.head_sha)
        good = all(run.conclusion in {"success", "neutral", "skipped"} for run in runs)
        pulls = [pull for pull in repository.pulls.values() if pull.head_sha == suite.head_sha]
        return {
            "id": suite.id,
            "node_id": f"CS_kwDO{suite.id:08x}",
            "head_branch": pulls[0].head_ref if pulls else None,
            "head_sha": suite.head_sha,
            "status": "completed" if done else "queued",
            "conclusion": ("success" if good else "failure") if done else None,
            "url": url,
            "before": facts.parents[0] if facts.parents else "0" * 40,
            "after": suite.head_sha,
            "pull_requests": self._pull_mentions(repository, suite.head_sha),
            "app": self.app(),
            "created_at": suite.created_at,
            "updated_at": now(),
            "rerequestable": True,
            "runs_rerequestable": True,
            "latest_check_runs_count": len(runs),
            "check_runs_url": f"{url}/check-runs",
            "head_commit": {
                "id": suite.head_sha,
                "tree_id": facts.tree,
                "message": facts.message,
                "timestamp": facts.committer["date"],
                "author": {k: facts.author[k] for k in ("name", "email")},
                "committer": {k: facts.committer[k] for k in ("name", "email")},
            },
        }

    def status(self, repository: Repository, status: Status, *, creator: bool = True) -> Json:
        """A commit status; the combined answer leaves the creator out."""
        found: Json = {
            "url": f"{self.repository_api(repository)}/statuses/{status.sha}",
            "avatar_url": f"{self.web}/avatars/u/{status.creator.id}?v=4",
            "id": status.id,
            "node_id": f"SC_kwDO{status.id:08x}",
            "state": status.state,
            "description": status.description,
            "target_url": status.target_url,
            "context": status.context,
            "created_at": status.created_at,
            "updated_at": status.created_at,
        }
        if creator:
            found["creator"] = self.user(status.creator)
        return found
