// Package outbound is the one rule about what digestgate connects to: registries, mirrors
// of advisory data, feeds, the issuers of tokens, mail and bundle servers, chat hooks,
// clamd. It depends on who named the host and on the address that it leads to, which is
// checked at the moment of connecting, on every hop, so that neither a name that changes
// its mind nor a redirect gets around it (docs/adr/0038-outbound.md):
//
//	                 named in the       set at run time,     where one of
//	                 configuration      in outbound.allow    these leads to
//	public           yes                yes                  yes
//	private          yes                yes, see [Allow]     no
//	loopback         by address only    by address only      no
//	link-local,      never              never                never
//	metadata
//
// A host that is set at run time and not in outbound.allow is not connected to at all. A
// redirect that leaves the host is followed without credentials, or not: see [NewClient].
//
// No library of the program dials by itself; a test reads the sources.
package outbound
