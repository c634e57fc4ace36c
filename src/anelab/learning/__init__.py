"""The one interface of workloads, and the pieces they share."""
