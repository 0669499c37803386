/*
 * kind - what a file is, by its first bytes, its declared type and its name.
 *
 * The bytes decide where they can (a PDF is one whatever it is called); then
 * the type that the sender declared, except that "text/plain" says nothing
 * about Markdown, which servers send so; then the name; then a look for HTML.
 */
#ifndef RAG_SRC_EXTRACT_KIND_H
#define RAG_SRC_EXTRACT_KIND_H

#include "ingest/frame.h"
#include "src/extract/doc.h"

/* KIND_NONE with the message set ("not text: a ZIP archive ..."). */
enum frame_kind kind_of(const struct input *in);

#endif
