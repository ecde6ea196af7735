package admission

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// place is one spot of a pod spec that names an image.
type place struct {
	prefix string // of the pod spec: "spec", "spec.template.spec"
	list   string // containers, initContainers, ephemeralContainers, volumes
	index  int
	name   string // of the container or volume
	image  string // as written; "" when absent
}

// path is the place as people write it, for example
// spec.initContainers[1].image.
func (p place) path() string {
	s := p.prefix + "." + p.list + "[" + strconv.Itoa(p.index) + "].image"
	if p.list == "volumes" {
		s += ".reference"
	}
	return s
}

// podSpec finds all images of a pod spec: of containers, initContainers,
// ephemeralContainers and image volumes, in this order. Fields of a newer
// Kubernetes are passed over unless they look as if they held an image; then
// the spec is refused, because nobody would judge that image.
func podSpec(raw []byte, prefix string) ([]place, error) {
	var lists [4][]byte
	err := members(raw, func(name, value []byte) error {
		for i, list := range podLists {
			if string(name) == list.name {
				lists[i] = value
				return nil
			}
		}
		return passOver(specField(string(name)), prefix, name, value)
	})
	if err != nil {
		return nil, err
	}
	var places []place
	for i, list := range podLists {
		err := elements(lists[i], func(n int, value []byte) error {
			p, ok, err := list.read(place{prefix: prefix, list: list.name, index: n}, value)
			if err != nil {
				return fmt.Errorf("%s.%s[%d]: %w", prefix, list.name, n, err)
			}
			if ok {
				places = append(places, p)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return places, nil
}

// podLists are the lists of a pod spec that may hold images, in the order in
// which they are judged.
var podLists = [4]struct {
	name string
	read func(place, []byte) (place, bool, error)
}{
	{"containers", readContainer},
	{"initContainers", readContainer},
	{"ephemeralContainers", readContainer},
	{"volumes", readVolume},
}

// readContainer always finds a place: a container without an image is refused
// as a reference, not passed over.
func readContainer(p place, raw []byte) (place, bool, error) {
	if isNull(raw) {
		return p, false, fmt.Errorf("null: %w", gate.ErrReviewInvalid)
	}
	err := members(raw, func(name, value []byte) (err error) {
		switch string(name) {
		case "name":
			p.name, err = text(value)
		case "image":
			p.image, err = text(value)
		default:
			err = passOver(containerField(string(name)), "", name, value)
		}
		return err
	})
	return p, true, err
}

// readVolume finds a place when the volume's source is an image.
func readVolume(p place, raw []byte) (place, bool, error) {
	found := false
	err := members(raw, func(name, value []byte) (err error) {
		switch string(name) {
		case "name":
			p.name, err = text(value)
			return err
		case "image":
			found = !isNull(value)
			return members(value, func(name, value []byte) (err error) {
				switch string(name) {
				case "reference":
					p.image, err = text(value)
				case "pullPolicy":
				default:
					err = passOver(false, "image", name, value)
				}
				return err
			})
		}
		return passOver(volumeField(string(name)), "", name, value)
	})
	return p, found, err
}

// passOver refuses an unknown field that looks as if it held an image.
func passOver(known bool, path string, name, value []byte) error {
	if known {
		return nil
	}
	at := strings.TrimPrefix(path+"."+string(name), ".")
	if where, found := imageInside(string(name), value); found {
		return fmt.Errorf("%s%s is not known to this version of digestgate and may name an image: %w",
			gate.Printable(at, 80), gate.Printable(where, 80), gate.ErrObjectUnsupported)
	}
	return nil
}

// imageInside searches a value for a member whose name ends like one that
// holds an image, and says where it is.
func imageInside(name string, raw []byte) (path string, found bool) {
	kind := sample(raw)
	if kind == "a string" {
		return "", looksLikeImage(name)
	}
	var err error
	switch kind {
	case "an object":
		err = members(raw, func(member, value []byte) error {
			if p, ok := imageInside(string(member), value); ok && !found {
				path, found = "."+string(member)+p, true
			}
			return nil
		})
	case "an array":
		err = elements(raw, func(i int, value []byte) error {
			if p, ok := imageInside(name, value); ok && !found {
				path, found = "["+strconv.Itoa(i)+"]"+p, true
			}
			return nil
		})
	}
	// What cannot be read might hold anything.
	return path, found || err != nil
}

func looksLikeImage(name string) bool {
	name = strings.ToLower(name)
	for _, suffix := range []string{"image", "images", "imageref", "reference", "references", "artifact"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// specField, containerField and volumeField know the fields of the newest
// Kubernetes that was looked through for images (a test compares them with
// k8s.io/api). Whoever adds one says with it that it holds no image.
func specField(name string) bool {
	switch name {
	case "restartPolicy", "terminationGracePeriodSeconds", "activeDeadlineSeconds", "dnsPolicy", "nodeSelector",
		"serviceAccountName", "serviceAccount", "automountServiceAccountToken", "nodeName", "hostNetwork", "hostPID",
		"hostIPC", "shareProcessNamespace", "securityContext", "imagePullSecrets", "hostname", "subdomain", "affinity",
		"schedulerName", "tolerations", "hostAliases", "priorityClassName", "priority", "dnsConfig", "readinessGates",
		"runtimeClassName", "enableServiceLinks", "preemptionPolicy", "overhead", "topologySpreadConstraints",
		"setHostnameAsFQDN", "os", "hostUsers", "schedulingGates", "resourceClaims", "resources", "hostnameOverride",
		"schedulingGroup":
		return true
	}
	return false
}

func containerField(name string) bool {
	switch name {
	case "command", "args", "workingDir", "ports", "envFrom", "env", "resources", "resizePolicy", "restartPolicy",
		"restartPolicyRules", "volumeMounts", "volumeDevices", "livenessProbe", "readinessProbe", "startupProbe",
		"lifecycle", "terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy", "securityContext", "stdin",
		"stdinOnce", "tty", "targetContainerName":
		return true
	}
	return false
}

func volumeField(name string) bool {
	switch name {
	case "hostPath", "emptyDir", "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "secret", "nfs", "iscsi",
		"glusterfs", "persistentVolumeClaim", "rbd", "flexVolume", "cinder", "cephfs", "flocker", "downwardAPI", "fc",
		"azureFile", "configMap", "vsphereVolume", "quobyte", "azureDisk", "photonPersistentDisk", "projected",
		"portworxVolume", "scaleIO", "storageos", "csi", "ephemeral":
		return true
	}
	return false
}
