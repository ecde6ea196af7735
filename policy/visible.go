package policy

// visible is what the rules of a set can see, as far as keys of decisions and what
// has to be read depend on it.
type visible struct {
	document *document

	// Of the question.
	event, registry, repository, host, tags, digest bool
	request                                         requestSight
	// clock is the time itself; the others are ages in whole hours.
	clock, imageAge, scanAge, advisoriesAge bool
	// Of the generation in force.
	generation, content, updated bool
	// quiet is when nothing of these and of its age can be seen.
	quiet *unseenAges

	// Of the image, as far as a summary has it.
	platform, family, release, eol, created, size, user, root bool
	analyzed, analyzerSet, isolation, matched, matcher        bool
	// Lists, and what of them differs between images that are alike.
	vulnerabilities, vulnerabilitiesOwn, secrets, secretsOwn, gaps, risks bool
	// selection is which vulnerabilities the rules can tell from none.
	selection
	// inventory is what only the inventory itself has.
	inventory bool
	// tables is what they see of what is joined.
	tables tableSight
}

type requestSight struct {
	cluster, namespace, kind, name, operation, user, container bool
	labels, annotations                                        *sight
}

func newVisible(see *sight, some selection, q *unseenAges) *visible {
	image, scan, findings, request := see.at("image"), see.at("scan"), see.at("findings"), see.at("request")
	config, advisories := image.at("config"), scan.at("advisories")
	vulnerability, secret := findings.along("vulnerabilities", element), findings.along("secrets", element)
	return &visible{
		document: newDocument(see, some), selection: some, quiet: q, tables: newTableSight(see),

		event: see.any("event"), registry: image.any("registry"), repository: image.any("repository"),
		host: image.any("host"), tags: image.any("tags"), digest: image.any("digest"),
		request: requestSight{
			cluster: request.any("cluster"), namespace: request.any("namespace"), kind: request.any("kind"), name: request.any("name"),
			operation: request.any("operation"), user: request.any("user"), container: request.any("container"),
			labels: request.at("namespaceLabels"), annotations: request.at("namespaceAnnotations"),
		},
		clock: see.any("now") || see.any("nowUnix"), imageAge: image.any("ageHours"), scanAge: scan.any("ageHours"), advisoriesAge: advisories.any("ageHours"),
		generation: advisories.any("generation"), content: advisories.any("content"), updated: advisories.any("updatedAt") || advisories.any("updatedUnix"),

		platform: image.any("platform"), family: image.any("os", "family"), release: image.any("os", "name"), eol: image.any("os", "eol"),
		created: image.any("created") || image.any("createdUnix"), size: image.any("size"),
		user: config.any("user"), root: config.any("runsAsRoot"),
		analyzed: scan.any("analyzedAt") || scan.any("analyzedUnix"), analyzerSet: scan.any("analyzerSet"), isolation: scan.any("isolation"),
		matched: scan.any("matchedAt") || scan.any("matchedUnix"), matcher: scan.any("matcher"),

		vulnerabilities: findings.any("vulnerabilities"), secrets: findings.any("secrets"), gaps: scan.any("gaps"), risks: scan.any("risks"),
		vulnerabilitiesOwn: vulnerability.any("layer") || vulnerability.any("firstSeen") || vulnerability.any("firstSeenUnix"),
		secretsOwn:         secret.any("layer"),

		inventory: see.any("packages") || image.any("layers") || image.any("history") || !config.only("user", "runsAsRoot"),
	}
}
