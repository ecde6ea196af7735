// Package registry reads manifests, configurations and blobs from container
// registries. It is the only part of digestgate that speaks to a registry, and
// it trusts none: content is hashed here, sizes and times are bounded, and the
// bytes it returns are still hostile.
//
// What protects the machine and the credentials:
//
//   - One guarded dialer checks every address at the moment of connecting, on
//     every hop, so that neither DNS rebinding nor a redirect reaches loopback,
//     link-local or metadata addresses. See gate/outbound.
//   - Credentials are bound to the configured hosts. A token is asked for only
//     at host, aliases and tokenHosts; a redirect never carries any.
//   - https is the only scheme unless plainHTTP says otherwise; proxies of the
//     environment are not used, because a proxy would connect in our name.
//
// It does not decide what to pull when, and knows nothing of jobs, quota or
// layers' contents. A [Client] is safe for concurrent use.
package registry
