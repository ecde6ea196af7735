package admission

import "github.com/digestgate/digestgate/gate"

// mirrorAnnotation marks a mirror Pod (ConfigMirrorAnnotationKey in
// k8s.io/kubernetes/pkg/kubelet/types). The kubelet writes a hash into it.
const mirrorAnnotation = "kubernetes.io/config.mirror"

const (
	nodeUser  = "system:node:"
	nodeGroup = "system:nodes"
)

// mirrorNode is the node for which a request creates a mirror Pod, "" when it
// does not. A kubelet creates it to show a static Pod, which it runs in any
// case: a refusal stops nothing, it hides the Pod and makes the kubelet try for
// ever. All of it must hold: the annotation, a node's own user and group, a
// creation, and that very node in spec.nodeName. That is what the API server's
// NodeRestriction demands of a kubelet that creates a Pod
// (plugin/pkg/admission/noderestriction/admission.go, admitPodCreate); nobody
// else has these users.
func mirrorNode(r *request) string {
	if r.operation != "CREATE" || r.subResource != "" || r.kind != (groupVersionKind{"", "v1", "Pod"}) || !r.node {
		return ""
	}
	var node string
	marked := false
	err := members(r.object, func(name, value []byte) error {
		switch string(name) {
		case "metadata":
			return members(value, func(name, value []byte) error {
				if string(name) != "annotations" {
					return nil
				}
				return members(value, func(name, value []byte) error {
					if string(name) == mirrorAnnotation {
						hash, err := text(value)
						marked = err == nil && hash != ""
					}
					return nil
				})
			})
		case "spec":
			return members(value, func(name, value []byte) (err error) {
				if string(name) == "nodeName" {
					node, err = text(value)
				}
				return err
			})
		}
		return nil
	})
	if err != nil || !marked || node == "" || r.user.name != nodeUser+node {
		return ""
	}
	return node
}

// mirrorWarning is what a kubelet's log shows for an admitted mirror Pod.
func mirrorWarning(node string) string {
	return "digestgate: this is the mirror Pod of a static Pod, which node " + gate.Printable(node, 100) +
		" runs in any case; it is admitted, whatever its images are"
}
