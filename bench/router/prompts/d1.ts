import { families as appsGames } from "./d1-apps-games.js";
import { families as brief } from "./d1-brief.js";
import { families as carsFinance } from "./d1-cars-finance.js";
import { families as dataLearning } from "./d1-data-learning.js";
import { families as electronicsSheets } from "./d1-electronics-sheets.js";
import { families as everydaySchool } from "./d1-everyday-school.js";
import { families as healthLaw } from "./d1-health-law.js";
import { families as iotHome } from "./d1-iot-home.js";
import { families as kubernetesEmbedded } from "./d1-kubernetes-embedded.js";
import { families as linuxNetwork } from "./d1-linux-network.js";
import { families as logisticsFactory } from "./d1-logistics-factory.js";
import { families as long } from "./d1-long.js";
import { families as mathsPhysics } from "./d1-maths-physics.js";
import { families as medium } from "./d1-medium.js";
import { families as officeGarden } from "./d1-office-garden.js";
import { families as pasted } from "./d1-pasted.js";
import { families as plainMore } from "./d1-plain-more.js";
import { families as plain } from "./d1-plain.js";
import { families as projectsSupport } from "./d1-projects-support.js";
import { families as securityCode } from "./d1-security-code.js";
import { families as shortMore } from "./d1-short-more.js";
import { families as short } from "./d1-short.js";
import { families as travelCloud } from "./d1-travel-cloud.js";
import { families as versionsBusiness } from "./d1-versions-business.js";
import { families as webDatabases } from "./d1-web-databases.js";
import { families as writingCooking } from "./d1-writing-cooking.js";
import { type PromptFamily } from "./family.js";

/** Every family of the first writer. */
export const families: readonly PromptFamily[] = [
  ...appsGames,
  ...brief,
  ...carsFinance,
  ...dataLearning,
  ...electronicsSheets,
  ...everydaySchool,
  ...healthLaw,
  ...iotHome,
  ...kubernetesEmbedded,
  ...linuxNetwork,
  ...logisticsFactory,
  ...long,
  ...mathsPhysics,
  ...medium,
  ...officeGarden,
  ...pasted,
  ...plainMore,
  ...plain,
  ...projectsSupport,
  ...securityCode,
  ...shortMore,
  ...short,
  ...travelCloud,
  ...versionsBusiness,
  ...webDatabases,
  ...writingCooking,
];
