"""The sandbox for the commands of a repository. The pipelines do not use it yet: they run commands on the host."""
