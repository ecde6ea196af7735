// Package cabundle keeps the caBundle of the gate's own ValidatingWebhookConfiguration
// current, where the gate makes its certificates itself: API servers believe the certificate
// of admission only when the authority that signed it is in there.
//
// Every process adds the authority that it serves with, and leaves those of others: for the
// time of a rotation old and new are both believed. The object carries when each authority
// was last in use; one that no process has used for a day is removed. Certificates of other
// authorities, which an operator has added, are never touched.
//
// It changes nothing else of the object, needs the rights get and patch on that one object,
// and does not watch whether a webhook was removed or weakened.
//
// A [Keeper] is safe for concurrent use; one [Keeper.Run] at a time may run.
package cabundle
