// Package vex reads statements about vulnerabilities of products, in OpenVEX, CSAF 2.0
// (the VEX profile) and CycloneDX, and finds the one that hides a finding.
//
// A statement takes a finding out of those that rules refuse, so that what it is about
// must be certain: it names the image by its digest, or one package by a versioned package
// URL, and the component. Others are refused and counted. A [Source] is named by the
// operator, with a key or a checksum; nothing that an image or a registry brings along
// counts without. The package fetches nothing. A [Table] is never changed once it is made;
// it and an [Index] are safe for concurrent use.
package vex
