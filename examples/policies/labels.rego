# A reader who finds a problem in an image must find its source. A label may be
# absent: labels are a free map, so the rule asks with object.get.
package digestgate

warn contains {"rule": "source-label", "msg": "the image does not say where its source is; set the label org.opencontainers.image.source in the build"} if {
	object.get(input.image.config.labels, "org.opencontainers.image.source", "") == ""
}
