// Package gate holds the words of digestgate and nothing that works with them: each
// work is a package below it. It imports nothing of the project; everything else
// imports it.
//
// # The life of an image
//
// A registry sends a push: a message that content arrived. The receiver
// authenticates it, compares the host it names with the configured one and
// queues a resolve job; it makes no call of its own. A job is one unit of
// queued work with a key under which only one is live. A worker claims it: it
// gets a lease with an epoch that fences it against later claimants.
//
// Resolving reads the manifest by digest and says what it is: an image, an
// index whose children are judged, or something that is recorded and nothing
// more (a signature, an SBOM). The digest is the identity of an image; a tag
// is a name that may move, and a location is a repository of a registry in
// which the digest was seen.
//
// Analysing makes the inventory: the packages, applications, secrets and
// configuration that the image contains. This is the only step that pulls
// layers, and the only one that is charged to the quota, once for each digest.
// It is done by a disposable child process.
//
// Matching compares the inventory with the advisories of one generation, an
// activation of advisory data, and yields findings. Evaluating asks the
// policies: their rules look at findings and facts and give a decision with
// reasons. The admission decision is made for one request from a Kubernetes
// API server; the standing verdict is the same without a request, one for each
// location, kept for people to look at. Neither is ever taken for the other.
//
// The record of a digest remembers all of this, with a summary of the inventory and
// of the findings: what most decisions need of them. A rescan of kind match repeats
// matching and evaluating when the advisories changed; a rescan of kind content
// repeats the analysis. Both leave what is known in force until they are done.
//
// A sweep goes over all stored images and keeps findings and standing verdicts current.
// After new advisory data it matches only the images that the difference between the
// two generations touches. A lift is the signed statement which findings of earlier
// generations are also those of the new one; their images are not read. A full sweep
// matches these too, to see that nothing was missed. Reviews do not wait for a sweep.
package gate
