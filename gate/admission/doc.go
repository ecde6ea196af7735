// Package admission is the door of digestgate: it takes AdmissionReviews from
// Kubernetes API servers, finds every image in the object, asks the lookup
// about each and answers with one AdmissionReview.
//
// A [Reviewer] is the pure core, from the bytes of a review to a [Response];
// [Handler] puts it behind HTTP, [NewServer] and certificate.Certificate put that behind
// TLS. The package knows nothing of registries, stores and policies, and it
// never changes an object.
//
// The rules that everything here serves: only positive evidence for every
// image permits (the absence of an error permits nothing); an error, a panic,
// a hanging lookup or a shape that is not understood refuses, with a code of
// its own and in time; nothing that a user of a namespace can write (labels,
// annotations, owners) exempts anything.
//
// Reviewer, Handler, Recorder and Certificate are safe for concurrent use.
package admission
