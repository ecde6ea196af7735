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

// element is the container or volume as people write it, for example
// spec.initContainers[1].
func (p place) element() string {
	return p.prefix + "." + p.list + "[" + strconv.Itoa(p.index) + "]"
}

// path is the place as people write it, for example
// spec.initContainers[1].image.
func (p place) path() string { return string(p.appendPath(nil)) }

// appendPath appends what path returns.
func (p *place) appendPath(b []byte) []byte {
	b = append(append(append(append(b, p.prefix...), '.'), p.list...), '[')
	b = append(strconv.AppendInt(b, int64(p.index), 10), "].image"...)
	if p.list == "volumes" {
		b = append(b, ".reference"...)
	}
	return b
}

// pathRoom is at least how long path is.
func (p *place) pathRoom() int { return len(p.prefix) + len(p.list) + len(".[].image.reference") + 20 }

// doubt is a field that this version does not know and that may name an image.
// Nobody would judge that image, so that a doubt that is new refuses the object.
type doubt struct {
	list  string // of the pod spec, "" for a field of the spec itself
	name  string // of the container or volume
	field string // within the container, volume or spec
	path  string // where the image may be, as people write it
	value []byte
}

func (d doubt) text() string {
	return gate.Printable(d.path, 200) + " is not known to this version of digestgate and may name an image"
}

// podSpec finds all images of a pod spec: of containers, initContainers,
// ephemeralContainers and image volumes, in this order. Fields of a newer
// Kubernetes are passed over unless they look as if they held an image; those
// are the doubts.
func podSpec(raw []byte, prefix string) ([]place, []doubt, error) {
	var lists [4][]byte
	var doubts []doubt
	err := members(raw, func(name, value []byte) error {
		for i, list := range podLists {
			if string(name) == list.name {
				lists[i] = value
				return nil
			}
		}
		doubts = passOver(doubts, specField(string(name)), "", name, value)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", prefix, err)
	}
	for i := range doubts {
		doubts[i].path = prefix + "." + doubts[i].path
	}
	var places []place
	for i, list := range podLists {
		if lists[i] == nil {
			continue
		}
		err := elements(prefix+"."+list.name, lists[i], func(n int, value []byte) error {
			at := place{prefix: prefix, list: list.name, index: n}
			e, err := list.read(at, value)
			if err != nil {
				return fmt.Errorf("%s: %w", at.element(), err)
			}
			if e.found {
				if places == nil {
					places = make([]place, 0, 4)
				}
				places = append(places, e.place)
			}
			for _, d := range e.doubts {
				d.list, d.name, d.path = list.name, e.name, at.element()+"."+d.path
				doubts = append(doubts, d)
			}
			if len(doubts) > maxDoubts {
				return fmt.Errorf("%s, like more than %d other fields: %w", doubts[0].text(), maxDoubts, gate.ErrObjectUnsupported)
			}
			if len(places) > maxRead {
				return fmt.Errorf("request.object has more than %d containers and image volumes: %w", maxRead, gate.ErrTooLarge)
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return places, doubts, nil
}

// maxRead bounds the places that are kept of one object, whether an update
// changes them or not: more than the store of an API server takes in one.
const maxRead = 10 * maxPlaces

// maxDoubts bounds what is kept about unknown fields; an API server of a newer
// Kubernetes brings a handful.
const maxDoubts = 1000

// podLists are the lists of a pod spec that may hold images, in the order in
// which they are judged.
var podLists = [4]struct {
	name string
	read func(place, []byte) (entry, error)
}{
	{"containers", readContainer},
	{"initContainers", readContainer},
	{"ephemeralContainers", readContainer},
	{"volumes", readVolume},
}

// entry is what one element of a list holds.
type entry struct {
	place
	found  bool // an image belongs here
	doubts []doubt
}

// inField says in which field an error was met.
func inField(name []byte, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// readContainer always finds a place: a container without an image is refused
// as a reference, not passed over.
func readContainer(p place, raw []byte) (entry, error) {
	e := entry{place: p, found: true}
	if isNull(raw) {
		return e, fmt.Errorf("null: %w", gate.ErrReviewInvalid)
	}
	err := members(raw, func(name, value []byte) (err error) {
		switch string(name) {
		case "name":
			e.name, err = named(value)
		case "image":
			e.image, err = text(value)
		default:
			e.doubts = passOver(e.doubts, containerField(string(name)), "", name, value)
		}
		return inField(name, err)
	})
	return e, err
}

// readVolume finds a place when the volume's source is an image.
func readVolume(p place, raw []byte) (entry, error) {
	e := entry{place: p}
	err := members(raw, func(name, value []byte) (err error) {
		switch string(name) {
		case "name":
			e.name, err = named(value)
			return inField(name, err)
		case "image":
			e.found = !isNull(value)
			return inField(name, members(value, func(name, value []byte) (err error) {
				switch string(name) {
				case "reference":
					e.image, err = text(value)
				case "pullPolicy":
				default:
					e.doubts = passOver(e.doubts, false, "image", name, value)
				}
				return inField(name, err)
			}))
		}
		e.doubts = passOver(e.doubts, volumeField(string(name)), "", name, value)
		return nil
	})
	return e, err
}

// passOver adds a doubt for an unknown field that looks as if it held an image.
func passOver(doubts []doubt, known bool, parent string, name, value []byte) []doubt {
	if known {
		return doubts
	}
	field := strings.TrimPrefix(parent+"."+string(name), ".")
	if where, found := imageInside(string(name), value); found {
		doubts = append(doubts, doubt{field: field, path: field + where, value: value})
	}
	return doubts
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
