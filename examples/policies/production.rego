# Production namespaces run only what the release pipeline pushed to the
# repositories under "release/". They are named here, because this version does
# not know the labels of namespaces. Outside admission input.request is empty and
# the rule does not apply: the standing verdict of an image says nothing about
# namespaces.
package digestgate

production_namespaces := {"shop", "payments"}

production(namespace) if namespace in production_namespaces

production(namespace) if startswith(namespace, "prod-")

deny contains {"rule": "production-source", "msg": sprintf(
	"namespace %s is production and takes images under release/ only; %s is in %s",
	[input.request.namespace, input.image.digest, input.image.repository],
)} if {
	production(input.request.namespace)
	not startswith(input.image.repository, "release/")
}
