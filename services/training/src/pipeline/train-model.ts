import { searchModel } from "../search/search-model.ts";
import type { TrainedModel, TrainingTask } from "./trained-model.ts";

/** Trains as the spec says: by its trainer, once or for each trial of a search. */
export const trainModel = (task: TrainingTask): Promise<TrainedModel> =>
  task.spec.search === undefined ? trainOnce(task) : searchModel(task, trainOnce);

const trainOnce = async (task: TrainingTask): Promise<TrainedModel> => {
  const chosen = task.spec.trainer?.trainer;
  switch (chosen?.case) {
    // Each is loaded when it is needed: TensorFlow alone takes a second.
    case "tfjs": {
      const { trainOwnNetwork } = await import("./train-own-network.ts");
      return await trainOwnNetwork(task, chosen.value);
    }
    case "command": {
      const { trainByCommand } = await import("../command/train-by-command.ts");
      return await trainByCommand(task, chosen.value);
    }
    default:
      throw new TypeError("The contract requires a trainer.");
  }
};
