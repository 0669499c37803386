#include "config.h"
#include "generator/template.h"

#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "model/tok.h"

#define CHATML "<|im_start|>system\n", "<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>\n"

static const struct chat_format qwen25 = {
	"qwen2.5", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", CHATML,
};
static const struct chat_format smollm2 = {
	"smollm2", "You are a helpful AI assistant named SmolLM, trained by Hugging Face", CHATML,
};

/* BLAKE2b-256 of the template's text as normalised by digest(). */
static const struct {
	const char *hash;
	const struct chat_format *format;
} known[] = {
	/* Qwen2.5 Coder as published with its AWQ weights */
	{ "ef0829bf42c538a9bbd234c9664d95d9504fb8e6939b293dea2c595107b35170", &qwen25 },
	/* Qwen2.5 with doubled braces in the tools' example */
	{ "dcc9626633678bb3473c2836ebb0d96e8cef1b9f360583107e1ed612e968bb0b", &qwen25 },
	{ "786dc803909c78d9d03264ecb6d82c6bcbbe28070b7e342b474af75e0d1c93db", &smollm2 },
};

static const char *const control[] = { "<|im_start|>", "<|im_end|>" };

/* CR before LF and blanks at the very end say nothing; every other byte may. */
static void digest(char hex[HASH_HEX_LEN], const char *s, size_t n)
{
	uint8_t hash[HASH_LEN];
	struct hash_state h;
	size_t from = 0;

	while (n && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '\n' || s[n - 1] == '\r'))
		n--;
	hash_begin(&h);
	for (size_t i = 0; i + 1 < n; i++)
		if (s[i] == '\r' && s[i + 1] == '\n') {
			hash_add(&h, s + from, i - from);
			from = i + 1;
		}
	hash_add(&h, s + from, n - from);
	hash_end(hash, &h);
	hash_hex(hex, hash);
}

int template_find(const struct chat_format **out, const char *text, size_t len,
		     const struct tok *tok, const char *model)
{
	char hex[HASH_HEX_LEN];
	const struct chat_format *f = NULL;

	if (!text)
		return err_set(RAG_EUNSUP, "no chat template in '%s': it only goes on from a raw prompt",
			       model);
	digest(hex, text, len);
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(hex, known[i].hash))
			f = known[i].format;
	if (!f)
		return err_set(RAG_EUNSUP, "unknown chat template of '%s'", model);
	for (size_t i = 0; i < sizeof(control) / sizeof(*control); i++) {
		int32_t id = tok_find(tok, control[i]);

		if (id < 0 || !tok_is_control(tok, id))
			return err_set(RAG_EFORMAT, "'%s' lacks the control token '%s'", model, control[i]);
	}
	*out = f;
	return RAG_OK;
}
