/*
 * The least that a program needs to get a first token from llama.cpp: it reads
 * the model as llama-cli does by default (mapped), evaluates the prompt in one
 * batch, and writes the likeliest token.  No warm-up, no server.
 *
 *	start MODEL THREADS CONTEXT PROMPT
 */
#include <llama.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void quiet(enum ggml_log_level level, const char *text, void *arg)
{
	(void)level;
	(void)text;
	(void)arg;
}

static int best_of(const float *logits, int n)
{
	int best = 0;

	for (int i = 1; i < n; i++)
		if (logits[i] > logits[best])
			best = i;
	return best;
}

int main(int argc, char **argv)
{
	struct llama_context_params params;
	const struct llama_vocab *vocab;
	struct llama_context *ctx;
	struct llama_model *model;
	llama_token ids[4096];
	char piece[256];
	int n;

	if (argc != 5)
		return 2;
	llama_log_set(quiet, NULL);
	llama_backend_init();
	model = llama_model_load_from_file(argv[1], llama_model_default_params());
	if (!model)
		return 1;
	params = llama_context_default_params();
	params.n_ctx = (uint32_t)atoi(argv[3]);
	params.n_threads = params.n_threads_batch = atoi(argv[2]);
	ctx = llama_init_from_model(model, params);
	if (!ctx)
		return 1;
	vocab = llama_model_get_vocab(model);
	n = llama_tokenize(vocab, argv[4], (int)strlen(argv[4]), ids, 4096, true, false);
	if (n < 1 || llama_decode(ctx, llama_batch_get_one(ids, n)))
		return 1;
	n = llama_token_to_piece(vocab, best_of(llama_get_logits_ith(ctx, -1), llama_vocab_n_tokens(vocab)),
				 piece, sizeof(piece), 0, false);
	if (n < 0 || write(STDOUT_FILENO, piece, (size_t)n) != n)
		return 1;
	llama_free(ctx);
	llama_model_free(model);
	return 0;
}
