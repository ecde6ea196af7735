// Package docs is the folder of the pages. Its tests read them, and the texts in the
// sources: lines stay short, refused phrases stay out, paths and links exist. Tests
// that compare a page with what the program does are beside the program.
package docs
