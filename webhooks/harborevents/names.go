package harborevents

// Version2 are the events of Harbor 2.x in its Default format
// (src/controller/event/topic.go and src/pkg/notifier at 2.x). The caller owns
// the map.
func Version2() map[string]Meaning {
	scan := Ignored("a scan by Harbor itself is not looked at")
	chart := Ignored("charts are not images")
	return map[string]Meaning{
		"PUSH_ARTIFACT":      Pushed(),
		"DELETE_ARTIFACT":    Deleted(),
		"PULL_ARTIFACT":      Ignored("a pull changes nothing; the policy in Harbor need not send it"),
		"SCANNING_COMPLETED": scan,
		"SCANNING_FAILED":    scan,
		"SCANNING_STOPPED":   scan,
		"QUOTA_EXCEED":       Ignored("Harbor's quota is exceeded: it has not stored this artifact"),
		"QUOTA_WARNING":      Ignored("a warning about Harbor's quota changes nothing"),
		"REPLICATION":        Ignored("a replication sends a push of its own for each artifact"),
		"TAG_RETENTION":      Ignored("a retention run sends a delete of its own for each artifact"),
		"UPLOAD_CHART":       chart,
		"DOWNLOAD_CHART":     chart,
		"DELETE_CHART":       chart,
	}
}

// Version1 are the events of Harbor 1.9 and 1.10
// (src/pkg/notification/model/const.go at 1.10.9). The caller owns the map.
func Version1() map[string]Meaning {
	scan := Ignored("a scan by the registry itself is not looked at")
	chart := Ignored("charts are not images")
	return map[string]Meaning{
		"pushImage":         Pushed(),
		"deleteImage":       Deleted(),
		"pullImage":         Ignored("a pull changes nothing; the webhook need not send it"),
		"scanningCompleted": scan,
		"scanningFailed":    scan,
		"projectQuota":      Ignored("the project's quota refused the image: it was not stored"),
		"testEndpoint":      Ignored("the test button names no image"),
		"uploadChart":       chart,
		"downloadChart":     chart,
		"deleteChart":       chart,
	}
}
