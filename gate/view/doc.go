// Package view is what the API, the console and the command line show of what is
// stored: views of images, findings, jobs, registries, policies and the quota. Their
// JSON is the API's (docs/openapi.yaml), where the names of the types are names too.
//
// It decides nothing about an image, and serves nothing.
package view
