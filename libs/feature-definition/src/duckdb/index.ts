export { ColumnInvalidError } from "./column-invalid-error.ts";
export { type DrawOptions, drawEntities } from "./draw-entities.ts";
export { EngineFailedError } from "./engine-failed-error.ts";
export { SourceDataInvalidError } from "./source-data-invalid-error.ts";
export { type TrainingSetOptions, type TrainingSetPart, trainingSet } from "./training-set.ts";
export { trainingSetSql } from "./training-set-sql.ts";
export { outputPath, type UnfinishedFile, unfinishedFile } from "./unfinished-file.ts";
export { type WriteTrainingSetOptions, type WrittenTrainingSet, writeTrainingSet } from "./write-training-set.ts";
