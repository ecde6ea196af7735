// Package cluster watches a Kubernetes cluster: what is known of namespaces, for policies,
// and which images run where, for people.
//
// What a watch says is known or unknown, and never silently empty. A namespace that the
// watch has not seen, or a watch that has not been heard for [MaxSilence], is asked for
// live, once and for a moment; if that fails too, the labels are unknown, and a policy
// that reads them refuses with a code that says "try again" (reference: Kyverno
// CVE-2025-46342, where a failed lookup of labels read as "no labels").
//
// Only metadata and fields about images are kept.
package cluster
