/*
 * template - the chat formats that we know, recognised by their template's text.
 *
 * A model ships its chat format as a Jinja program.  Until there is an engine
 * for those, a program is recognised by its hash (line ends and trailing blanks
 * apart): an unknown one is refused by name, never guessed.  All that we know
 * so far are ChatML with a default system message:
 *   <|im_start|>ROLE\nTEXT<|im_end|>\n  ...  <|im_start|>assistant\n
 * Immutable: share it.
 */
#ifndef RAG_GENERATOR_TEMPLATE_H
#define RAG_GENERATOR_TEMPLATE_H

#include <stddef.h>

struct tok;

struct chat_format {
	const char *name;	/* "qwen2.5", "smollm2" */
	const char *system;	/* what the template says when the caller gives no system message */
	/* Before and behind a message; control strings in them are control tokens. */
	const char *open_system, *open_user, *open_assistant, *close;
};

/* text: (len) the template, NULL when the model has none.  RAG_EUNSUP
 * "unknown chat template of 'MODEL'"; RAG_EFORMAT when the tokenizer lacks a
 * control token that the format is made of.  *out is static. */
int template_find(const struct chat_format **out, const char *text, size_t len,
		     const struct tok *tok, const char *model);

#endif
