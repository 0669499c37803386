/*
 * tok - text to token ids and back, as the model's own tokenizer does it.
 *
 * One interface, three kinds: WordPiece (BERT), byte-level BPE (gpt-2,
 * smollm, qwen2, llama-bpe) and SentencePiece (gemma, llama-2).  The
 * reference is Hugging Face `tokenizers` for WordPiece and llama.cpp for the
 * others; ids are equal, not similar.  Text is text: a control string such as
 * "<|im_end|>" in it gives ordinary tokens unless TOK_PARSE is asked for, so
 * a document can never speak to the model as the engine does.  (Here we are
 * stricter than llama.cpp, which finds user-defined tokens in any text: we do
 * so for words such as gemma's runs of line feeds, but not for markup such as
 * "<tool_call>".  With TOK_PARSE both agree, but for ordinary words such as
 * Qwen's "</s>" that llama.cpp takes for control tokens by their name.)
 * Immutable: share it.
 */
#ifndef RAG_MODEL_TOK_H
#define RAG_MODEL_TOK_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tok;
struct gguf;

enum {
	TOK_ADD = 1,	/* the sequence's own special tokens: [CLS] .. [SEP], BOS where the model wants it */
	TOK_PARSE = 2,	/* control strings in the text become control tokens: never for a document's text */
};

struct tok_ids {
	int32_t *id;		/* (len) owned */
	uint32_t *start, *end;	/* (len) byte span of the input text that each token covers; specials: empty span */
	size_t len, cap;
};

/* Opens the tokenizer beside (or inside) a model.  WordPiece: DIR/vocab.txt
 * or DIR/tokenizer.json, settings from tokenizer_config.json when there.
 * RAG_EUNSUP names an unknown model or pre-tokenizer.  The caller owns *out. */
int tok_open_dir(struct tok **out, const char *dir);
/* From a GGUF's metadata; copies what it needs, g may be closed afterwards. */
int tok_from_gguf(struct tok **out, const struct gguf *g);
void tok_close(struct tok *t);		/* NULL is allowed */

/* Appends to *out.  Any bytes are accepted; invalid UTF-8 is treated as the reference treats it. */
int tok_encode(struct tok_ids *out, const struct tok *t, const char *s, size_t n, unsigned flags);
void tok_ids_release(struct tok_ids *ids);	/* zeroed is allowed */

/* Appends the bytes of one token (may be part of a UTF-8 sequence).  Control
 * tokens give nothing unless control is true.  WordPiece has lost the spaces:
 * a piece that begins a word comes with one before it. */
int tok_piece(struct buf *out, const struct tok *t, int32_t id, bool control);

size_t tok_vocab(const struct tok *t);			/* number of ids */
int32_t tok_find(const struct tok *t, const char *piece);	/* the id whose vocabulary string is exactly piece; -1: none */
bool tok_is_control(const struct tok *t, int32_t id);	/* control, unknown, or user-defined markup: no text becomes it without TOK_PARSE */
bool tok_is_end(const struct tok *t, int32_t id);	/* stops generation: EOS, EOT, <|im_end|>, <|endoftext|>, <end_of_turn> as the metadata says */
int32_t tok_bos(const struct tok *t);			/* -1: none */
int32_t tok_eos(const struct tok *t);
const char *tok_kind(const struct tok *t);		/* "wordpiece", "bpe/qwen2", "spm"; borrowed */

#endif
