# What the image asks to be run as.
package digestgate

# A warning: a Pod may still set runAsNonRoot or a user of its own, and many
# images of vendors are built so.
warn contains {
	"rule": "root-user",
	"msg": "the image runs as root; set USER in its Dockerfile, or runAsNonRoot and runAsUser in the Pod",
} if {
	input.image.config.runsAsRoot
}
