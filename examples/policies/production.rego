# Namespaces with the label environment=production run only what the release
# pipeline pushed to the repositories under "release/". Outside admission
# input.request is empty and the rule does not apply: the standing verdict of an
# image says nothing about namespaces.
package digestgate

deny contains {"rule": "production-source", "msg": sprintf(
	"namespace %s is production and takes images under release/ only; %s is in %s",
	[input.request.namespace, input.image.digest, input.image.repository],
)} if {
	input.request.namespaceLabels.environment == "production"
	not startswith(input.image.repository, "release/")
}
